# The compiler flags that every target of the project shares.

# Objects that can be linked both ways: the tests, many and small, are linked without the optimizer's second look.
if(WEIR_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(lto_compile -flto=auto -ffat-lto-objects)
  set(lto_link "$<IF:$<BOOL:$<TARGET_PROPERTY:WEIR_FACE>>,-flto=auto,-fno-lto>")
endif()

# Without it gcc clears what has a few hundred bytes by "rep stos", which takes 30 ns to begin with.
include(CheckCCompilerFlag)
set(memset_flag -mmemset-strategy=vector_loop:1024:noalign,libcall:-1:noalign)
check_c_compiler_flag(${memset_flag} WEIR_HAS_MEMSET_STRATEGY)

add_library(weir_compile INTERFACE)
target_compile_definitions(weir_compile INTERFACE _GNU_SOURCE)
target_compile_options(weir_compile INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  ${lto_compile} "$<$<BOOL:${WEIR_HAS_MEMSET_STRATEGY}>:${memset_flag}>"
  -Wformat=2 -Wvla -Wundef -Wwrite-strings -Wpointer-arith -fno-strict-aliasing
  "$<$<BOOL:${WEIR_WERROR}>:-Werror>"
  "$<$<BOOL:${WEIR_SANITIZE}>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-fno-omit-frame-pointer>"
  "$<$<AND:$<BOOL:${WEIR_FUZZ}>,$<NOT:$<BOOL:$<TARGET_PROPERTY:WEIR_UNEXPLORED>>>>:-fsanitize=fuzzer-no-link>")
target_link_options(weir_compile INTERFACE
  ${lto_link}
  "$<$<BOOL:${WEIR_SANITIZE}>:-fsanitize=address,undefined>")
