# weir_embed_lua(TARGET DIR): compiles every .lua file under DIR into TARGET as one C array each,
# with a table of (module name, text, length) declared in engine/script/embed.h.
function(weir_embed_lua target dir)
  file(GLOB modules CONFIGURE_DEPENDS RELATIVE "${dir}" "${dir}/weir/*.lua")
  list(SORT modules)
  set(files "")
  foreach(module IN LISTS modules)
    list(APPEND files "${dir}/${module}")
  endforeach()
  set(output "${CMAKE_CURRENT_BINARY_DIR}/embed_${target}.c")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DDIR=${dir}" "-DMODULES=${modules}" "-DOUTPUT=${output}"
            -P "${PROJECT_SOURCE_DIR}/cmake/EmbedLua.cmake"
    DEPENDS ${files} "${PROJECT_SOURCE_DIR}/cmake/EmbedLua.cmake"
    COMMENT "Embedding the Lua half of the library"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()

# weir_embed_text(TARGET FILE NAME): compiles one file into TARGET as `const char NAME[]`, which ends with a 0.
function(weir_embed_text target file name)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/embed_${name}.c")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DFILE=${file}" "-DNAME=${name}" "-DOUTPUT=${output}"
            -P "${PROJECT_SOURCE_DIR}/cmake/EmbedText.cmake"
    DEPENDS "${file}" "${PROJECT_SOURCE_DIR}/cmake/EmbedText.cmake"
    COMMENT "Embedding ${name}"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
