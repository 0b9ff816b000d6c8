#include "umdev/fuse/left_behind.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace umdev::fuse {
namespace {

// As /proc/self/mountinfo has them.
constexpr std::string_view mounts =
    "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
    "80 28 0:51 / /run/umdev/sys rw,nosuid - fuse.umdev-sys umdev rw,user_id=0\n"
    "81 80 0:52 / /run/umdev/sys rw,nosuid shared:9 master:1 - fuse.umdev-sys umdev rw,user_id=0\n"
    "82 28 0:53 / /run/umdev/dev rw - fuse.umdev-dev umdev rw\n"
    "83 28 0:54 / /run/a\\040b\\134c rw - fuse.umdev-sys umdev rw\n";

TEST(LeftBehind, Only_mounts_of_the_name_at_the_path_count) {
  EXPECT_EQ(count_mounts(mounts, "/run/umdev/sys", "umdev-sys"), 2U);
  EXPECT_EQ(count_mounts(mounts, "/run/umdev/dev", "umdev-sys"), 0U);
  EXPECT_EQ(count_mounts(mounts, "/run/umdev/sys", "umdev-dev"), 0U);
  EXPECT_EQ(count_mounts(mounts, "/sys", "umdev-sys"), 0U);
  EXPECT_EQ(count_mounts(mounts, "/run/umdev", "umdev-sys"), 0U);
}

TEST(LeftBehind, Blanks_in_a_path_are_written_in_octal) {
  EXPECT_EQ(count_mounts(mounts, "/run/a b\\c", "umdev-sys"), 1U);
}

TEST(LeftBehind, A_text_that_makes_no_sense_has_no_mounts) {
  for (const std::string_view text :
       {"", "\n\n", "1 2 3", "1 2 3 / /x\\04", "1 2 3 / /x rw", "1 2 3 / /x rw -"})
    EXPECT_EQ(count_mounts(text, "/x", "umdev-sys"), 0U);
}

TEST(LeftBehind, A_mount_point_is_named_without_links_above_it) {
  std::string scratch = testing::TempDir() + "umdev-mount-XXXXXX";
  ASSERT_NE(::mkdtemp(scratch.data()), nullptr);
  const std::string real = std::filesystem::canonical(scratch).string();
  std::filesystem::create_directory_symlink(real, real + "/link");
  EXPECT_EQ(resolve_mount_point(real + "/link/../" + std::filesystem::path(real).filename().string() + "/sys")
                .value(),
            real + "/sys");
  EXPECT_EQ(resolve_mount_point(real + "/link/sys").value(), real + "/sys");
  EXPECT_EQ(resolve_mount_point(real + "/missing/sys").error().code, ENOENT);
  std::filesystem::remove_all(real);
}

TEST(LeftBehind, Where_nothing_is_mounted_nothing_is_taken_away) {
  EXPECT_TRUE(detach_left_behind("/proc", "umdev-sys"));
  EXPECT_TRUE(detach_left_behind("/nonexistent/sys", "umdev-sys"));
}

}  // namespace
}  // namespace umdev::fuse
