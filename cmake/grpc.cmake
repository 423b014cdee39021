# SPDX-License-Identifier: Apache-2.0
# `millrace_grpc` (with protobuf) and `millrace_re2`, which gRPC uses too. A release has them within
# itself: as shared objects they are sixty, and each start of the command line took 20 ms of CPU
# instead of 12.
add_library(millrace_re2 INTERFACE)
add_library(millrace_grpc INTERFACE)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Release")
  target_link_libraries(millrace_re2 INTERFACE re2)
  target_link_libraries(millrace_grpc INTERFACE grpc++ grpc gpr protobuf absl_synchronization
                                                absl_base absl_time)
  return()
endif()
find_package(PkgConfig REQUIRED)
pkg_check_modules(GRPC REQUIRED grpc++ protobuf)
# These have one copy in the process, for others use them as well.
set(shared ssl crypto z dl pthread atomic rt)
set(archives)
foreach(name ${GRPC_STATIC_LIBRARIES})
  if(NOT name IN_LIST shared)
    find_library(ARCHIVE_${name} lib${name}.a REQUIRED)
    list(APPEND archives ${ARCHIVE_${name}})
  endif()
endforeach()
find_library(ARCHIVE_re2 libre2.a REQUIRED)
target_link_libraries(millrace_re2 INTERFACE ${ARCHIVE_re2})
target_link_libraries(millrace_grpc INTERFACE ${archives} ssl crypto z dl)
