#include "umdev/manage/keyed_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/failing_file_calls.h"
#include "tests/support/outcome.h"
#include "tests/support/scratch_directory.h"

namespace umdev::manage {
namespace {

namespace fs = std::filesystem;
using test::error_of;

class KeyedFilesTest : public testing::Test {
 public:
  KeyedFilesTest() {
    fs::create_directories(scratch / "files");
    fs::create_directories(scratch / "new");
  }
  static Uuid uuid(char digit) {
    return Uuid::parse(std::string(8, digit) + "-0000-4000-8000-000000000000").value();
  }

  test::ScratchDirectory scratch;
  test::FailingFileCalls calls;
  KeyedFiles files{scratch / "files", scratch / "new", calls};
  const DefinitionKey key{.parent = "mtty", .uuid = uuid('1')};
};

TEST_F(KeyedFilesTest, What_is_written_is_read_listed_and_found) {
  ASSERT_TRUE(files.write(key, "text"));
  EXPECT_EQ(files.read(key), "text");
  EXPECT_EQ(files.list()->keys, std::vector{key});
  EXPECT_EQ(files.find(key.uuid), std::vector<std::string>{"mtty"});
  EXPECT_EQ(files.path_of(key), scratch / "files/mtty/11111111-0000-4000-8000-000000000000");
  ASSERT_TRUE(files.remove(key));
  EXPECT_EQ(error_of(files.read(key)), ENOENT);
  EXPECT_EQ(error_of(files.remove(key)), ENOENT);
  EXPECT_TRUE(files.find(key.uuid)->empty());
}

TEST_F(KeyedFilesTest, No_parent_leads_out_of_the_directory) {
  fs::create_directory(scratch / "outside");
  fs::create_directory_symlink(scratch / "outside", scratch / "files/link");
  for (const char* parent : {"..", ".", "", "a/b", "../outside", "scripts.d"}) {
    EXPECT_EQ(error_of(files.write({.parent = parent, .uuid = key.uuid}, "text")), EINVAL) << parent;
    EXPECT_EQ(error_of(files.read({.parent = parent, .uuid = key.uuid})), EINVAL) << parent;
    EXPECT_EQ(error_of(files.remove({.parent = parent, .uuid = key.uuid})), EINVAL) << parent;
  }
  EXPECT_EQ(error_of(files.write({.parent = "link", .uuid = key.uuid}, "text")), ENOTDIR);
  EXPECT_TRUE(fs::is_empty(scratch / "outside"));
}

TEST_F(KeyedFilesTest, A_file_that_is_a_link_is_replaced_and_not_followed) {
  std::ofstream(scratch / "outside") << "precious";
  fs::create_directory(scratch / "files/mtty");
  fs::create_symlink(scratch / "outside", files.path_of(key));
  EXPECT_EQ(error_of(files.read(key)), ELOOP);
  ASSERT_TRUE(files.write(key, "text"));
  EXPECT_EQ(fs::file_size(scratch / "outside"), 8U);
  EXPECT_EQ(files.read(key), "text");
}

TEST_F(KeyedFilesTest, Strangers_are_told_and_mdevctls_scripts_are_none) {
  fs::create_directories(scratch / "files/scripts.d/callouts");
  fs::create_directories(scratch / "files/mtty");
  for (const char* const name :
       {"files/mtty/notes", "files/mtty/AAAAAAAA-0000-4000-8000-000000000000", "files/file"})
    const std::ofstream made(scratch / name);
  ASSERT_TRUE(files.write(key, "text"));
  const auto listing = files.list().value();
  EXPECT_EQ(listing.keys, std::vector{key});
  ASSERT_EQ(listing.strangers.size(), 3U);
  EXPECT_EQ(listing.strangers[0].first, "file");
  EXPECT_EQ(listing.strangers[1].first, "mtty/AAAAAAAA-0000-4000-8000-000000000000");
  EXPECT_EQ(listing.strangers[2].first, "mtty/notes");
}

TEST_F(KeyedFilesTest, Listings_are_in_the_order_of_parents_and_UUIDs) {
  for (const char digit : {'3', '1', '2'})
    for (const char* parent : {"b", "a"})
      ASSERT_TRUE(files.write({.parent = parent, .uuid = uuid(digit)}, "x"));
  const auto keys = files.list()->keys;
  EXPECT_EQ(keys.size(), 6U);
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(files.find(uuid('2')), (std::vector<std::string>{"a", "b"}));
}

// The parent's directory, write, fsync, rename, fsync.
TEST_F(KeyedFilesTest, Whatever_fails_a_file_is_whole) {
  for (int step = 0; step < 5; ++step) {
    SCOPED_TRACE(step);
    const DefinitionKey fresh{.parent = "p" + std::to_string(step), .uuid = key.uuid};
    calls.fail_at(step, ENOSPC);
    EXPECT_EQ(error_of(files.write(fresh, "new")), ENOSPC);
    const auto text = files.read(fresh);
    EXPECT_TRUE(step == 4 ? text == "new" : error_of(text) == ENOENT);
    EXPECT_TRUE(fs::is_empty(scratch / "new"));
  }
}

}  // namespace
}  // namespace umdev::manage
