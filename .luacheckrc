std = "lua54+busted"
max_line_length = 120
self = false
exclude_files = {"spec/node_modules"}
