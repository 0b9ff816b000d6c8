# Functions that the rooms' CMakeLists.txt are written in. One folder is one library; its link edges are the only
# folders it may include (see ARCHITECTURE.md), and tools/house_rules.py checks the #include lines against them.

# umdev_library(NAME [DEPENDS umdev_x ...] [PRIVATE lib ...])
# A static library umdev_NAME of every *.cc in this folder; a folder without sources becomes an interface library.
function(umdev_library name)
  cmake_parse_arguments(arg "" "" "DEPENDS;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(sources)
    add_library(umdev_${name} STATIC ${sources})
    target_link_libraries(umdev_${name} PUBLIC umdev_options ${arg_DEPENDS} PRIVATE ${arg_PRIVATE})
  else()
    add_library(umdev_${name} INTERFACE)
    target_link_libraries(umdev_${name} INTERFACE umdev_options ${arg_DEPENDS})
  endif()
endfunction()

# umdev_unit_test(NAME [DEPENDS umdev_x ...])
# One test program unit_NAME of every *.cc in this folder; each TEST() becomes a ctest case of its own, named
# unit_NAME.Suite.test, so `ctest -R unit_NAME` runs one folder and `ctest -R C23` one requirement.
function(umdev_unit_test name)
  cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(NOT sources OR UMDEV_FUZZ)
    return()
  endif()
  add_executable(unit_${name} ${sources})
  target_link_libraries(unit_${name} PRIVATE
    ${arg_DEPENDS} umdev_test_support GTest::gmock GTest::gtest_main rapidcheck)
  gtest_discover_tests(unit_${name} TEST_PREFIX unit_${name}. EXTRA_ARGS --gtest_brief=1
    DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# umdev_module(TARGET NAME API SOURCE)
# NAME.so in this folder's binary directory: the module of a driver with the kernel's interface (umdev cc does the same
# outside of a build). API is UMDEV_KERNEL_API.
function(umdev_module target name api source)
  add_library(${target} MODULE ${source})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${name} C_STANDARD 11 C_EXTENSIONS ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include/umdev/kernel)
  target_compile_definitions(${target} PRIVATE KBUILD_MODNAME="${name}" UMDEV_KERNEL_API=${api})
  # What kernel code is full of is no warning in the kernel either.
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wno-sign-compare -Wno-unused-parameter -Werror -fno-strict-aliasing -fwrapv)
  if(UMDEV_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${UMDEV_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${UMDEV_SANITIZE})
  endif()
endfunction()

# umdev_fuzz_target(NAME [SOURCES file.cc ...] [DEPENDS umdev_x ...])
# NAME_fuzz.cc in this folder (with SOURCES) defines LLVMFuzzerTestOneInput(). With UMDEV_FUZZ it becomes the
# libFuzzer program fuzz_NAME, which `./dev fuzz` runs. In every build it is a ctest case that is fed the seeds in
# corpus/NAME/ and, for a second, inputs made from them: by libFuzzer, or by a small driver where that is not there.
# dictionary/NAME.dict holds words that libFuzzer shall try.
function(umdev_fuzz_target name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(fuzz_${name} ${name}_fuzz.cc ${arg_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${arg_DEPENDS} umdev_test_support)
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  if(UMDEV_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz/corpus/${name})
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} -max_total_time=1 -timeout=20 -verbosity=0
      -artifact_prefix=${CMAKE_BINARY_DIR}/fuzz/${name}- ${CMAKE_BINARY_DIR}/fuzz/corpus/${name} ${corpus})
  else()
    target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz/replay_main.cc)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${corpus})
  endif()
  set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 300)
endfunction()

# umdev_python_tests(LABEL)
# The *_test.py of this folder, each a ctest case LABEL_NAME; the caller has found Python3. They find the programs
# by UMDEV_BUILD_DIR, and are skipped when they exit with 77.
function(umdev_python_tests label)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.py)
  foreach(test ${tests})
    get_filename_component(name ${test} NAME_WE)
    string(REPLACE "_test" "" name ${name})
    add_test(NAME ${label}_${name} COMMAND ${Python3_EXECUTABLE} -B ${test})
    set_tests_properties(${label}_${name} PROPERTIES
      LABELS ${label} SKIP_RETURN_CODE 77 TIMEOUT 900 ENVIRONMENT "UMDEV_BUILD_DIR=${CMAKE_BINARY_DIR}")
  endforeach()
endfunction()

# umdev_check_headers(FOLDER ...)
# The target check_headers compiles every header of the rooms in the FOLDERs alone, twice in a row, so that each
# includes what it needs and says `#pragma once`. Not part of the default build.
function(umdev_check_headers)
  add_custom_target(check_headers)
  foreach(folder ${ARGN})
    file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${folder}/*/*.h)
    foreach(header ${headers})
      get_filename_component(room ${header} DIRECTORY)
      set(text "#include \"${header}\"\n#include \"${header}\"\n")
      set(source ${CMAKE_BINARY_DIR}/check_headers/${header}.cc)
      file(CONFIGURE OUTPUT ${source} CONTENT "${text}" @ONLY)
      string(MAKE_C_IDENTIFIER ${room} identifier)
      list(APPEND sources_${identifier} ${source})
      list(APPEND rooms ${room})
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  foreach(room ${rooms})
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${room}/CMakeLists.txt)
      continue()
    endif()
    string(MAKE_C_IDENTIFIER ${room} identifier)
    add_library(check_headers_${identifier} OBJECT EXCLUDE_FROM_ALL ${sources_${identifier}})
    get_property(targets DIRECTORY ${CMAKE_SOURCE_DIR}/${room} PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target ${targets})
      get_target_property(type ${target} TYPE)
      if(type MATCHES "STATIC_LIBRARY|INTERFACE_LIBRARY")
        target_link_libraries(check_headers_${identifier} PRIVATE ${target})
      endif()
      # A room has headers for its own files, which may need what only the room is linked with.
      if(type STREQUAL "STATIC_LIBRARY")
        target_link_libraries(check_headers_${identifier} PRIVATE $<TARGET_PROPERTY:${target},LINK_LIBRARIES>)
      endif()
    endforeach()
    add_dependencies(check_headers check_headers_${identifier})
  endforeach()
endfunction()

# umdev_add_rooms(FOLDER): add_subdirectory() for each child of FOLDER that has a CMakeLists.txt.
function(umdev_add_rooms folder)
  file(GLOB children CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*/CMakeLists.txt)
  foreach(child ${children})
    get_filename_component(directory ${child} DIRECTORY)
    add_subdirectory(${directory})
  endforeach()
endfunction()
