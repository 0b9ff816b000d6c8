#include "umdev/manage/state_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/outcome.h"
#include "tests/support/scratch_directory.h"

namespace umdev::manage {
namespace {

namespace fs = std::filesystem;
using test::error_of;

class StateDirectoryTest : public testing::Test {
 public:
  test::ScratchDirectory scratch;
  const std::string path = scratch / "state";
};

TEST_F(StateDirectoryTest, Has_what_mdevctl_insists_on) {
  const auto state = StateDirectory::claim(path).value();
  EXPECT_TRUE(fs::is_directory(state->definitions() + "/scripts.d/callouts"));
  EXPECT_TRUE(fs::is_directory(state->definitions() + "/scripts.d/notifiers"));
  EXPECT_TRUE(fs::is_directory(state->owners()));
}

TEST_F(StateDirectoryTest, Is_its_users_alone) {
  const auto state = StateDirectory::claim(path).value();
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
}

TEST_F(StateDirectoryTest, One_that_was_opened_to_others_stays_so) {
  fs::create_directory(path);
  fs::permissions(path, fs::perms(0755));
  const auto state = StateDirectory::claim(path).value();
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0755));
}

TEST_F(StateDirectoryTest, Belongs_to_one_daemon) {
  auto first = StateDirectory::claim(path).value();
  EXPECT_EQ(error_of(StateDirectory::claim(path)), EBUSY);
  first.reset();
  EXPECT_TRUE(StateDirectory::claim(path));
}

TEST_F(StateDirectoryTest, What_a_crash_left_on_its_way_is_removed_and_nothing_else) {
  StateDirectory::claim(path).value().reset();
  std::ofstream(path + "/scratch.d/77-1") << "{";
  fs::create_directory(path + "/mdevctl.d/mtty");
  std::ofstream(path + "/mdevctl.d/mtty/something") << "{";
  const auto state = StateDirectory::claim(path).value();
  EXPECT_TRUE(fs::is_empty(state->scratch()));
  EXPECT_TRUE(fs::exists(path + "/mdevctl.d/mtty/something"));
}

TEST_F(StateDirectoryTest, A_file_in_its_place_is_ENOTDIR) {
  std::ofstream(path) << "a file";
  EXPECT_EQ(error_of(StateDirectory::claim(path)), ENOTDIR);
}

TEST_F(StateDirectoryTest, The_root_for_mdevctl_leads_to_the_definitions) {
  const auto state = StateDirectory::claim(path).value();
  fs::create_directory(scratch / "run");
  ASSERT_TRUE(make_mdevctl_root(scratch / "run", state->definitions()));
  EXPECT_EQ(fs::read_symlink(scratch / "run/etc/mdevctl.d"), state->definitions());
  EXPECT_TRUE(fs::is_directory(scratch / "run/etc/mdevctl.d/scripts.d/notifiers"));
  EXPECT_TRUE(fs::is_directory(scratch / "run/usr/lib/mdevctl/scripts.d/callouts"));
  EXPECT_TRUE(fs::is_directory(scratch / "run/usr/lib/mdevctl/scripts.d/notifiers"));
}

TEST_F(StateDirectoryTest, The_link_follows_a_state_directory_that_has_moved) {
  fs::create_directory(scratch / "run");
  ASSERT_TRUE(make_mdevctl_root(scratch / "run", scratch / "before"));
  ASSERT_TRUE(make_mdevctl_root(scratch / "run", scratch / "after"));
  ASSERT_TRUE(make_mdevctl_root(scratch / "run", scratch / "after"));
  EXPECT_EQ(fs::read_symlink(scratch / "run/etc/mdevctl.d"), scratch / "after");
}

TEST_F(StateDirectoryTest, What_is_no_link_is_not_removed_for_one) {
  fs::create_directories(scratch / "run/etc/mdevctl.d");
  EXPECT_EQ(error_of(make_mdevctl_root(scratch / "run", scratch / "state")), EEXIST);
}

}  // namespace
}  // namespace umdev::manage
