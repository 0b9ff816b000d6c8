#include "umdev/run/filesystem.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_directory.h"
#include "umdev/run/program.h"

namespace umdev::run {
namespace {

class HostFiles : public testing::Test {
 public:
  const test::ScratchDirectory scratch;
  const std::string path = scratch.path();
  HostFilesystem host;
};

TEST_F(HostFiles, are_listed_in_the_order_of_their_names_with_their_types) {
  std::filesystem::create_directory(path + "/b");
  std::ofstream(path + "/c") << "x";
  std::filesystem::create_symlink("../nowhere", path + "/a");
  const auto entries = host.list(path);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3U);
  EXPECT_EQ(entries->at(0).name + entries->at(1).name + entries->at(2).name, "abc");
  EXPECT_EQ(entries->at(0).type, EntryType::link);
  EXPECT_EQ(entries->at(1).type, EntryType::directory);
  EXPECT_EQ(entries->at(2).type, EntryType::file);
  EXPECT_EQ(host.read_link(path + "/a").value(), "../nowhere");
}

TEST_F(HostFiles, that_are_not_there_have_no_type_and_their_errno) {
  EXPECT_FALSE(host.type_of(path + "/none"));
  EXPECT_EQ(host.list(path + "/none").error().code, ENOENT);
  EXPECT_EQ(host.read_link(path + "/none").error().code, ENOENT);
  std::ofstream(path + "/file") << "x";
  EXPECT_EQ(host.list(path + "/file").error().code, ENOTDIR);
  EXPECT_EQ(host.read_link(path + "/file").error().code, EINVAL);
}

TEST(HostDevices, are_files) {
  EXPECT_EQ(HostFilesystem().type_of("/dev/null"), EntryType::file);
}

TEST_F(HostFiles, that_are_no_programs_are_told_apart_by_the_exit_status) {
  const std::string name[] = {path + "/none"};
  EXPECT_EQ(exit_status_of(become(name)), exit_not_found);
  const std::string directory[] = {path};
  EXPECT_EQ(exit_status_of(become(directory)), exit_not_executable);
  std::ofstream(path + "/file") << "x";
  const std::string file[] = {path + "/file"};
  EXPECT_EQ(become(file).code, EACCES);
  EXPECT_EQ(exit_status_of(become(file)), exit_not_executable);
}

}  // namespace
}  // namespace umdev::run
