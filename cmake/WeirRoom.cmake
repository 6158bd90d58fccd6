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

# weir_sink(NAME PKG_CONFIG_NAME)
#
# A sink that needs a library of its own: the folder engine/sink/NAME, which becomes part of the room sink where
# that library is found. Where it is not, the build goes on without it, and weir names what is missing when
# a script asks for that sink.
function(weir_sink name library)
  string(TOUPPER "${name}" upper)
  file(GLOB sources CONFIGURE_DEPENDS "sink/${name}/*.c")
  pkg_check_modules(SINK_${upper} IMPORTED_TARGET GLOBAL ${library})
  if(sources AND SINK_${upper}_FOUND)
    target_sources(weir_sink PRIVATE ${sources})
    target_compile_definitions(weir_sink PUBLIC WEIR_SINK_${upper})
    target_link_libraries(weir_sink PUBLIC PkgConfig::SINK_${upper})
  else()
    message(STATUS "sink ${name}: not built (${library} was not found)")
  endif()
endfunction()
