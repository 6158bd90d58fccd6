# The compiler flags that every target of the project shares.

add_library(weir_compile INTERFACE)
target_compile_definitions(weir_compile INTERFACE _GNU_SOURCE)
target_compile_options(weir_compile INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wformat=2 -Wvla -Wundef -Wwrite-strings -Wpointer-arith -fno-strict-aliasing
  "$<$<BOOL:${WEIR_WERROR}>:-Werror>"
  "$<$<BOOL:${WEIR_SANITIZE}>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-fno-omit-frame-pointer>"
  "$<$<AND:$<BOOL:${WEIR_FUZZ}>,$<NOT:$<BOOL:$<TARGET_PROPERTY:WEIR_UNEXPLORED>>>>:-fsanitize=fuzzer-no-link>")
target_link_options(weir_compile INTERFACE
  "$<$<BOOL:${WEIR_SANITIZE}>:-fsanitize=address,undefined>")
