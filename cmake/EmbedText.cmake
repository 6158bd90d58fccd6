# Run as a script by weir_embed_text: writes OUTPUT from FILE.
file(READ "${FILE}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE "${OUTPUT}" "/* Generated from ${FILE}: do not edit. */\nextern const char ${NAME}[];\nconst char ${NAME}[] = {${bytes}0x00};\n")
