# What `cmake --install` puts where. To be included after the targets exist; a target that does not is left out.
#
#   bin/weir                          the program
#   lib/libweir.so.N, include/weir.h  the library, with lib/pkgconfig/weir.pc
#   lib/lua/5.4/weir.so               the Lua module, where Debian's lua5.4 looks under /usr and /usr/local
#   share/lua/5.4/weir/               the Lua half of the library (also compiled into program and module)
#   share/weir/scripts/               worker scripts to copy
#   share/weir/types/                 annotations of weir's functions, for lua-language-server
#   share/doc/weir/                   licence and documentation
include(GNUInstallDirs)

set(WEIR_LUA_VERSION 5.4)
set(WEIR_INSTALL_LUACDIR "lib/lua/${WEIR_LUA_VERSION}" CACHE STRING "Where the Lua module goes, below the prefix")
set(WEIR_INSTALL_LUADIR "share/lua/${WEIR_LUA_VERSION}" CACHE STRING "Where Lua sources go, below the prefix")

if(TARGET weir_program)
  install(TARGETS weir_program RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

if(TARGET weir_module)
  install(TARGETS weir_module LIBRARY DESTINATION "${WEIR_INSTALL_LUACDIR}")
endif()

if(TARGET weir_shared)
  set_target_properties(weir_shared PROPERTIES
    VERSION "${PROJECT_VERSION}" SOVERSION "${PROJECT_VERSION_MAJOR}"
    PUBLIC_HEADER "${PROJECT_SOURCE_DIR}/engine/include/weir.h")
  install(TARGETS weir_shared
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    PUBLIC_HEADER DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

  # The prefix is written relative to the file, so that an installed tree can be moved and --prefix works.
  set(WEIR_PKGCONFIGDIR "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
  file(RELATIVE_PATH WEIR_PC_TO_PREFIX "/prefix/${WEIR_PKGCONFIGDIR}" "/prefix")
  string(REGEX REPLACE "/$" "" WEIR_PC_TO_PREFIX "${WEIR_PC_TO_PREFIX}")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/weir.pc.in" "${PROJECT_BINARY_DIR}/weir.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/weir.pc" DESTINATION "${WEIR_PKGCONFIGDIR}")
endif()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/lua/weir" DESTINATION "${WEIR_INSTALL_LUADIR}" FILES_MATCHING PATTERN "*.lua")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/scripts/" DESTINATION "${CMAKE_INSTALL_DATADIR}/weir/scripts" OPTIONAL)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/types" DESTINATION "${CMAKE_INSTALL_DATADIR}/weir")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs" DESTINATION "${CMAKE_INSTALL_DOCDIR}" OPTIONAL)
install(FILES "${PROJECT_SOURCE_DIR}/CHANGELOG.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}" OPTIONAL)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
if(EXISTS "${PROJECT_SOURCE_DIR}/README.md")
  install(FILES "${PROJECT_SOURCE_DIR}/README.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
endif()
