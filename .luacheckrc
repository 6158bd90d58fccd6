std = "lua54+busted"
max_line_length = 120
exclude_files = {"spec/node_modules"}
