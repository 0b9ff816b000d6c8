# Functions that the rooms' CMakeLists.txt are written in. One folder is one library; its link edges are the only
# folders it may include (see ARCHITECTURE.md), and tools/house_rules.py checks the #include lines against the same order.

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
# One test program unit_NAME of every *.cc in this folder; each TEST() becomes a ctest case of its own.
function(umdev_unit_test name)
  cmake_parse_arguments(arg "" "" "DEPENDS;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_executable(unit_${name} ${sources})
  target_link_libraries(unit_${name} PRIVATE ${arg_DEPENDS} umdev_test_support GTest::gmock GTest::gtest_main rapidcheck)
  add_test(NAME unit_${name} COMMAND unit_${name} --gtest_brief=1)
  set_tests_properties(unit_${name} PROPERTIES LABELS "unit;${arg_LABELS}" TIMEOUT 300)
endfunction()

# umdev_add_rooms(FOLDER): add_subdirectory() for each child of FOLDER that has a CMakeLists.txt.
function(umdev_add_rooms folder)
  file(GLOB children CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*/CMakeLists.txt)
  foreach(child ${children})
    get_filename_component(directory ${child} DIRECTORY)
    add_subdirectory(${directory})
  endforeach()
endfunction()
