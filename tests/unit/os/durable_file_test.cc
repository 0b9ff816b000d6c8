#include "umdev/os/durable_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "tests/support/failing_file_calls.h"
#include "tests/support/outcome.h"
#include "tests/support/scratch_directory.h"

namespace umdev::os {
namespace {

namespace fs = std::filesystem;
using test::error_of;

class DurableFileTest : public testing::Test {
 public:
  DurableFileTest() {
    fs::create_directories(scratch / "new");
    fs::create_directories(scratch / "here");
    temporary = open_for_sync(scratch / "new").value();
    directory = open_for_sync(scratch / "here").value();
  }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(scratch / "here/a").rdbuf();
    return text.str();
  }
  Result<> replace(std::string_view text) {
    return replace_file(calls, temporary.get(), directory.get(), "a", text, 0640);
  }

  test::ScratchDirectory scratch;
  test::FailingFileCalls calls;
  UniqueFd temporary;
  UniqueFd directory;
};

TEST_F(DurableFileTest, A_file_is_made_and_replaced) {
  ASSERT_TRUE(replace("one"));
  EXPECT_EQ(content(), "one");
  ASSERT_TRUE(replace("two"));
  EXPECT_EQ(content(), "two");
  EXPECT_EQ(fs::status(scratch / "here/a").permissions(), fs::perms(0640));
  EXPECT_TRUE(fs::is_empty(scratch / "new"));
}

// write, fsync, rename; the fourth, the directory's fsync, comes when the new file is in its place.
TEST_F(DurableFileTest, Whatever_fails_the_file_is_the_old_one_or_the_new_one) {
  for (const int code : {EIO, ENOSPC}) {
    for (int step = 0; step < 4; ++step) {
      calls.fail_never();
      ASSERT_TRUE(replace("old"));
      calls.fail_at(step, code);
      EXPECT_EQ(error_of(replace("new")), code) << step;
      EXPECT_EQ(content(), step < 3 ? "old" : "new") << step;
      EXPECT_TRUE(fs::is_empty(scratch / "new")) << step;
    }
  }
}

TEST_F(DurableFileTest, A_failure_to_make_one_leaves_none) {
  for (int step = 0; step < 3; ++step) {
    calls.fail_at(step, EIO);
    EXPECT_EQ(error_of(replace("new")), EIO);
    EXPECT_FALSE(fs::exists(scratch / "here/a")) << step;
  }
}

TEST_F(DurableFileTest, An_interrupted_call_is_repeated) {
  for (const int step : {0, 1, 3}) {
    calls.fail_at(step, EINTR);
    EXPECT_TRUE(replace("whole").has_value()) << step;
  }
}

TEST_F(DurableFileTest, A_removal_is_durable_or_an_error) {
  ASSERT_TRUE(replace("one"));
  calls.fail_at(0, EACCES);
  EXPECT_EQ(error_of(remove_file(calls, directory.get(), "a")), EACCES);
  EXPECT_EQ(content(), "one");
  calls.fail_at(1, EIO);
  EXPECT_EQ(error_of(remove_file(calls, directory.get(), "a")), EIO);
  calls.fail_never();
  EXPECT_EQ(error_of(remove_file(calls, directory.get(), "a")), ENOENT);
}

TEST_F(DurableFileTest, Reading_follows_no_link_and_waits_for_nobody) {
  std::ofstream(scratch / "here/a") << "text";
  fs::create_symlink(scratch / "here/a", scratch / "here/link");
  fs::create_directory(scratch / "here/directory");
  ASSERT_EQ(::mkfifo((scratch / "here/fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_file(directory.get(), "a", 4), "text");
  EXPECT_EQ(error_of(read_file(directory.get(), "a", 3)), EFBIG);
  EXPECT_EQ(error_of(read_file(directory.get(), "link", 9)), ELOOP);
  EXPECT_EQ(error_of(read_file(directory.get(), "fifo", 9)), EINVAL);
  EXPECT_EQ(error_of(read_file(directory.get(), "directory", 9)), EINVAL);
  EXPECT_EQ(error_of(read_file(directory.get(), "none", 9)), ENOENT);
}

TEST_F(DurableFileTest, A_directory_is_made_once_and_nothing_in_its_place_is_touched) {
  ASSERT_TRUE(make_directory(calls, directory.get(), "d", 0700));
  fs::permissions(scratch / "here/d", fs::perms(0750));
  ASSERT_TRUE(make_directory(calls, directory.get(), "d", 0700));
  EXPECT_EQ(fs::status(scratch / "here/d").permissions(), fs::perms(0750));
  std::ofstream(scratch / "here/a") << "text";
  EXPECT_EQ(error_of(make_directory(calls, directory.get(), "a", 0700)), ENOTDIR);
  fs::create_directory_symlink(scratch / "new", scratch / "here/link");
  EXPECT_EQ(error_of(make_directory(calls, directory.get(), "link", 0700)), ENOTDIR);
  EXPECT_EQ(error_of(open_for_sync(directory.get(), "link")), ENOTDIR);
}

TEST_F(DurableFileTest, Clearing_removes_files_and_leaves_directories) {
  std::ofstream(scratch / "here/a") << "text";
  fs::create_directory(scratch / "here/d");
  ASSERT_TRUE(clear_directory(directory.get()));
  EXPECT_EQ(list_directory(directory.get()), std::vector<std::string>{"d"});
}

}  // namespace
}  // namespace umdev::os
