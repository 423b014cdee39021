# SPDX-License-Identifier: Apache-2.0
# mr_precompiled: what links it (everything does, through mr_base) has these headers parsed once
# per build folder. A source still includes what it needs: headers are checked without this, and
# MILLRACE_PRECOMPILED=OFF builds without it. No header of Millrace belongs here: each edit of one
# would compile everything again.
#
# Not CMake's target_precompile_headers: that writes the build folder's path into the file, and no
# two working copies could share a ccache. Here a system header that is empty for us is the main
# file and all others go before it, so that the bytes are the same everywhere.
# ccache needs CCACHE_SLOPPINESS=pch_defines,time_macros, which ./dev build sets.
option(MILLRACE_PRECOMPILED "parse the standard headers once per build folder" ON)

add_library(mr_precompiled INTERFACE)
if(MILLRACE_PRECOMPILED)
  set(headers
      algorithm array atomic charconv chrono cmath compare condition_variable cstddef cstdint cstdio
      cstdlib cstring deque filesystem fstream functional future limits list map memory mutex
      optional random set span sstream string string_view thread tuple type_traits unordered_map
      unordered_set utility variant vector fmt/format.h)
  list(TRANSFORM headers PREPEND "-include;")
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}}")
  get_directory_property(options COMPILE_OPTIONS)
  get_directory_property(definitions COMPILE_DEFINITIONS)
  list(TRANSFORM definitions PREPEND -D)
  # A second one for what is not optimised (millrace_plain).
  foreach(kind "" ${MILLRACE_PLAIN_KIND})
    set(precompiled ${CMAKE_BINARY_DIR}/precompiled${kind}.pch)
    add_custom_command(
      OUTPUT ${precompiled}
      COMMAND ${CMAKE_CXX_COMPILER} ${flags} ${options} ${definitions} ${MILLRACE_OPTIONS${kind}}
              ${CMAKE_CXX23_STANDARD_COMPILE_OPTION} -fpch-instantiate-templates
              -Xclang -fno-pch-timestamp -MD -MT precompiled${kind}.pch -MF ${precompiled}.d
              ${headers} -x c++-header /usr/include/stdc-predef.h -o ${precompiled}
      DEPFILE ${precompiled}.d
      COMMENT "Precompiling the standard headers"
      VERBATIM)
    list(APPEND all_precompiled ${precompiled})
  endforeach()
  add_custom_target(precompiled DEPENDS ${all_precompiled})
  add_dependencies(mr_precompiled precompiled)
  set(plain $<$<BOOL:$<TARGET_PROPERTY:MILLRACE_PLAIN>>:_plain>)
  target_compile_options(mr_precompiled INTERFACE
                         "SHELL:-include-pch ${CMAKE_BINARY_DIR}/precompiled${plain}.pch")
endif()
