# What `weir serve` needs beyond the rooms: llhttp, which Debian ships as C source (package node-llhttp), and OpenSSL
# for --tls-cert. Each is used where it is found. Where it is not, the build goes on, and weir names what is missing
# when somebody asks for it.

find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include /usr/local/share/include PATH_SUFFIXES llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp /usr/local/share/llhttp NO_DEFAULT_PATH)

# A library of its own: its warnings are not this project's. Strict mode is how its grammar is generated, apart from
# the lenient flags (which nothing here sets).
if(LLHTTP_INCLUDE_DIR AND LLHTTP_SOURCE_DIR)
  add_library(weir_llhttp STATIC "${LLHTTP_SOURCE_DIR}/api.c" "${LLHTTP_SOURCE_DIR}/http.c"
    "${LLHTTP_SOURCE_DIR}/llhttp.c")
  target_include_directories(weir_llhttp SYSTEM PUBLIC "${LLHTTP_INCLUDE_DIR}")
  target_compile_definitions(weir_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(weir_llhttp PRIVATE -w -O2 -fno-strict-aliasing
    "$<$<BOOL:${WEIR_SANITIZE}>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-fno-omit-frame-pointer>"
    "$<$<BOOL:${WEIR_FUZZ}>:-fsanitize=fuzzer-no-link>")
else()
  message(STATUS "weir serve: not built (llhttp was not found: install Debian's node-llhttp)")
endif()

# weir_server_libraries(): adds to the room server what needs a library: engine/server/llhttp, engine/server/openssl.
function(weir_server_libraries)
  if(TARGET weir_llhttp)
    file(GLOB sources CONFIGURE_DEPENDS "server/llhttp/*.c")
    target_sources(weir_server PRIVATE ${sources})
    target_compile_definitions(weir_server PUBLIC WEIR_LLHTTP)
    target_link_libraries(weir_server PRIVATE weir_llhttp)
  endif()
  pkg_check_modules(SERVER_OPENSSL IMPORTED_TARGET GLOBAL openssl)
  file(GLOB sources CONFIGURE_DEPENDS "server/openssl/*.c")
  if(SERVER_OPENSSL_FOUND AND sources)
    target_sources(weir_server PRIVATE ${sources})
    target_compile_definitions(weir_server PUBLIC WEIR_OPENSSL)
    target_link_libraries(weir_server PUBLIC PkgConfig::SERVER_OPENSSL)
  else()
    message(STATUS "weir serve: no TLS (openssl was not found: install libssl-dev)")
  endif()
endfunction()
