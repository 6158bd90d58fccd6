# weir_room(NAME [USES ROOM...] [LIBRARIES TARGET...])
#
# A room is one folder of engine/ and one static library of every .c file in it. Its headers are
# included as "NAME/file.h". That path is reached through a folder which holds a link to this one room
# only, and only rooms that name it under USES have that folder on their include path: an include that
# the layers do not allow does not compile.
function(weir_room name)
  cmake_parse_arguments(ROOM "" "" "USES;LIBRARIES" ${ARGN})
  set(gate "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(MAKE_DIRECTORY "${gate}")
  file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}/${name}" "${gate}/${name}" SYMBOLIC)

  file(GLOB sources CONFIGURE_DEPENDS "${name}/*.c")
  if(NOT sources)
    return()
  endif()
  add_library(weir_${name} STATIC ${sources})
  target_include_directories(weir_${name} PUBLIC "${gate}")
  target_compile_definitions(weir_${name} PRIVATE "WEIR_VERSION=\"${PROJECT_VERSION}\"")
  target_link_libraries(weir_${name} PRIVATE weir_compile PUBLIC ${ROOM_LIBRARIES})
  foreach(used IN LISTS ROOM_USES)
    target_link_libraries(weir_${name} PUBLIC weir_${used})
  endforeach()
endfunction()
