# SPDX-License-Identifier: Apache-2.0
# One target per module:
# millrace_module(NAME [PLAIN] [DEPS module...] [LIBS vendor...] [TEST_DEPS module...]
# [ALONE source...] [FUZZ source...]).
# Takes every foo.cpp of the folder; foo_test.cpp goes into NAME_test, foo_fuzz.cpp into the binary
# of all fuzz targets when MILLRACE_FUZZ is on, foo_bench.cpp belongs to bench/. FUZZ names the few
# sources that the room's fuzz targets need, so that the rest of it is not compiled for them.

# Sources are compiled in batches (a unity build): half the work, as each batch parses its headers
# once. Two sources of one target then share their anonymous namespaces: when two names meet,
# rename one, or list the source in ALONE. Whoever works on one file for a while configures with
# `cmake build/dev -DMILLRACE_UNITY=OFF`.
option(MILLRACE_UNITY "compile the sources of a target in batches" OFF)
set(MILLRACE_BATCH 8 CACHE STRING "sources in one batch")
option(MILLRACE_FUZZ "build the libFuzzer targets" OFF)
set(MILLRACE_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=")

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
                    -Wimplicit-fallthrough -Werror=return-type -Werror=unused-result
                    -Wno-missing-field-initializers -Wno-missing-designated-field-initializers
                    -fno-omit-frame-pointer -ffunction-sections -fdata-sections)
add_link_options(-fuse-ld=lld -Wl,--gc-sections)
if(MILLRACE_SANITIZE)
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
endif()
if(MILLRACE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link
                      -fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/cmake/fuzz_ignore.txt)
endif()
add_compile_definitions(BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION
                        BOOST_BEAST_SEPARATE_COMPILATION SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)
find_package(Threads REQUIRED)
# Under a sanitizer, tests and the rooms that wait more than they compute (PLAIN) are compiled
# without optimisation: optimising them takes two to three times as long as compiling them. For the
# rooms that compute it pays: conductor_test would take five times as long.
if(MILLRACE_SANITIZE)
  set(MILLRACE_PLAIN_KIND _plain)
  set(MILLRACE_OPTIONS_plain -O0)
endif()
include(precompiled)
include(grpc)
# Files are named from the root of the project, in messages and objects alike: builds of two
# working copies are the same. After the precompiled header, which must not know where it is.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)

# Compiles the sources of a target in batches, those named after it each alone.
function(millrace_batches target)
  get_target_property(type ${target} TYPE)
  if(MILLRACE_UNITY AND NOT type STREQUAL "INTERFACE_LIBRARY")
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON
                                               UNITY_BUILD_BATCH_SIZE ${MILLRACE_BATCH})
    set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# Compiles a target without optimisation when there is a sanitizer.
function(millrace_plain target)
  if(MILLRACE_SANITIZE)
    set_target_properties(${target} PROPERTIES MILLRACE_PLAIN ON)
    target_compile_options(${target} PRIVATE ${MILLRACE_OPTIONS_plain})
  endif()
endfunction()

function(millrace_module name)
  cmake_parse_arguments(ARG "PLAIN" "" "DEPS;LIBS;TEST_DEPS;ALONE;FUZZ" ${ARGN})
  file(GLOB_RECURSE all_sources CONFIGURE_DEPENDS *.cpp)
  set(sources ${all_sources})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.cpp$")
  set(tests ${all_sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  set(fuzzers ${all_sources})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")

  if(sources)
    add_library(mr_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(mr_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  millrace_batches(mr_${name} ${ARG_ALONE})
  if(ARG_PLAIN)
    millrace_plain(mr_${name})
  endif()
  target_include_directories(mr_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  foreach(dep ${ARG_DEPS})
    target_link_libraries(mr_${name} ${scope} mr_${dep})
  endforeach()
  target_link_libraries(mr_${name} ${scope} ${ARG_LIBS} Threads::Threads)

  if(tests)
    millrace_test(${name}_test SOURCES ${tests} DEPS ${name} ${ARG_TEST_DEPS} ALONE ${ARG_ALONE})
  endif()
  if(MILLRACE_FUZZ AND fuzzers)
    set_property(GLOBAL APPEND PROPERTY MILLRACE_FUZZ_SOURCES ${fuzzers})
    if(ARG_FUZZ)
      list(TRANSFORM ARG_FUZZ PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
      set_property(GLOBAL APPEND PROPERTY MILLRACE_FUZZ_SOURCES ${ARG_FUZZ})
    else()
      set_property(GLOBAL APPEND PROPERTY MILLRACE_FUZZ_LIBS mr_${name})
    endif()
  endif()
endfunction()

# One GoogleTest binary, one ctest entry (ctest would start the binary once per case otherwise).
function(millrace_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;ALONE" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  if(NOT ARG_SOURCES)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${name} PRIVATE mr_${dep})
  endforeach()
  millrace_batches(${name} ${ARG_ALONE})
  millrace_plain(${name})
  target_link_libraries(${name} PRIVATE gtest gtest_main)
  target_compile_definitions(${name} PRIVATE MILLRACE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()
