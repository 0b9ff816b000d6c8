#include "umdev/os/directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "tests/unit/os/fixtures.h"

namespace umdev::os {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(MakeDirectories, makes_all_that_are_missing_with_exactly_the_asked_permissions) {
  const ScratchDirectory scratch;
  for (const mode_t mask : {0U, 077U}) {
    const mode_t before = ::umask(mask);
    const std::string top = scratch / std::to_string(mask);
    EXPECT_TRUE(make_directories(top + "/b//c/", 0750));
    ::umask(before);
    for (const char* part : {"", "/b", "/b/c"}) EXPECT_EQ(mode_of(top + part), 0750U) << part;
  }
}

TEST(MakeDirectories, leaves_what_is_there_as_it_is) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(make_directories(scratch / "a", 0711));
  EXPECT_TRUE(make_directories(scratch / "a", 0700));
  EXPECT_TRUE(make_directories(scratch / "a/b", 0700));
  EXPECT_EQ(mode_of(scratch / "a"), 0711U);
}

TEST(MakeDirectories, a_file_in_the_way_is_enotdir) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "file") << "x";
  EXPECT_EQ(make_directories(scratch / "file", 0700).error().code, ENOTDIR);
  EXPECT_EQ(make_directories(scratch / "file/b", 0700).error().code, ENOTDIR);
}

TEST(MakeDirectories, bad_paths_have_their_errno) {
  const ScratchDirectory scratch;
  EXPECT_EQ(make_directories("", 0700).error().code, EINVAL);
  EXPECT_EQ(make_directories(scratch / std::string(300, 'x'), 0700).error().code, ENAMETOOLONG);
  EXPECT_EQ(make_directories("/proc/nothing/here", 0700).error().code, ENOENT);
}

TEST(OpenDirectory, reaches_files_also_after_a_rename) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(make_directories(scratch / "a", 0700));
  const auto directory = open_directory(scratch / "a");
  ASSERT_TRUE(directory);
  EXPECT_TRUE(is_close_on_exec(directory->get()));
  std::filesystem::rename(scratch / "a", scratch / "b");
  const UniqueFd file(::openat(directory->get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_TRUE(std::filesystem::exists(scratch / "b/file"));
}

TEST(OpenDirectory, what_is_none_has_its_errno) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "file") << "x";
  EXPECT_EQ(open_directory(scratch / "missing").error().code, ENOENT);
  EXPECT_EQ(open_directory(scratch / "file").error().code, ENOTDIR);
}

TEST(LockFile, a_second_holder_is_ebusy_until_the_first_has_gone) {
  const ScratchDirectory scratch;
  {
    const auto first = LockFile::acquire(scratch / "lock");
    ASSERT_TRUE(first);
    EXPECT_EQ(LockFile::acquire(scratch / "lock").error().code, EBUSY);
  }
  EXPECT_TRUE(LockFile::acquire(scratch / "lock"));
}

TEST(LockFile, names_its_holder_for_people) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "lock") << "a much longer number of a dead process";
  const auto lock = LockFile::acquire(scratch / "lock");
  ASSERT_TRUE(lock);
  std::ifstream file(scratch / "lock");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(text, std::to_string(::getpid()) + "\n");
}

TEST(LockFile, a_process_that_was_killed_holds_nothing) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "lock";
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = LockFile::acquire(path);
    const char answer = lock ? 'y' : 'n';
    [[maybe_unused]] const auto wrote = ::write(ready[1], &answer, 1);
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_EQ(LockFile::acquire(path).error().code, EBUSY);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(LockFile::acquire(path));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(LockFile, follows_no_link_and_says_what_is_wrong) {
  const ScratchDirectory scratch;
  std::filesystem::create_symlink(scratch / "target", scratch / "link");
  EXPECT_EQ(LockFile::acquire(scratch / "link").error().code, ELOOP);
  EXPECT_EQ(LockFile::acquire(scratch / "missing/lock").error().code, ENOENT);
  EXPECT_EQ(LockFile::acquire(scratch.path()).error().code, EISDIR);
  EXPECT_FALSE(std::filesystem::exists(scratch / "target"));
}

}  // namespace
}  // namespace umdev::os
