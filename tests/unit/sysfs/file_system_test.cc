// The translation, without a mount. What a program meets is in tests/integration/sysfs.
#include "umdev/sysfs/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <vector>

#include "tests/support/outcome.h"
#include "tests/support/test_host.h"
#include "umdev/tree/transaction.h"

namespace umdev::sysfs {
namespace {

int error_of(const auto& result) {
  return result ? 0 : result.error().code;
}

// Has room for so many entries.
class Names final : public fuse::DirectorySink {
 public:
  explicit Names(std::size_t room = SIZE_MAX) : room_(room) {}
  bool add(const std::string& name, std::uint64_t, std::uint32_t, std::uint64_t next_offset) override {
    if (names.size() == room_) return false;
    names.push_back(name);
    next = next_offset;
    return true;
  }
  std::vector<std::string> names;
  std::uint64_t next = 0;

 private:
  const std::size_t room_;
};

class SysfsFileSystem : public testing::Test {
 public:
  tree::NodeHandle add(std::string name, tree::Mode mode, std::string content) {
    return tree.root()
        .add_attribute({std::move(name), mode, tree::text_attribute(std::move(content))})
        .value();
  }
  fuse::Found lookup(const char* name) { return files.lookup(fuse::root_id, name).value(); }
  Result<std::string> read(fuse::File& file, std::uint64_t offset = 0, std::size_t size = 4096) {
    test::Outcome<std::string> outcome;
    file.read({}, offset, size, outcome.done());
    executor.run();
    if (!outcome.succeeded()) return fail(outcome.error(), "refused");
    return *outcome.value();
  }
  std::vector<std::string> list(fuse::Directory& directory, std::uint64_t offset = 0) {
    Names names;
    EXPECT_TRUE(directory.list(offset, names));
    return names.names;
  }

  tree::Tree tree;
  test::QueueExecutor executor;
  test::TestHost host;
  FileSystem files{tree, executor, host.clock(), 1700000000};
};

TEST_F(SysfsFileSystem, a_node_has_the_trees_inode_and_the_time_of_the_mount) {
  const auto name = add("name", 0444, "x\n");
  const fuse::Found found = lookup("name");
  EXPECT_EQ(found.attributes.inode, tree.info(name.node()).inode);
  EXPECT_EQ(found.attributes.mode, S_IFREG | 0444U);
  EXPECT_EQ(found.attributes.size, 4096U);
  EXPECT_EQ(found.attributes.time, 1700000000);
  EXPECT_EQ(files.attributes(fuse::root_id).value().mode, S_IFDIR | 0755U);
}

TEST_F(SysfsFileSystem, what_can_be_written_has_another_number_at_each_lookup) {
  const auto name = add("name", 0444, "x\n");
  const auto create = add("create", 0200, "");
  EXPECT_EQ(lookup("name").id, lookup("name").id);
  const fuse::Found first = lookup("create");
  const fuse::Found second = lookup("create");
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ(first.attributes.inode, second.attributes.inode);
}

TEST_F(SysfsFileSystem, what_is_not_there_is_enoent) {
  EXPECT_EQ(error_of(files.lookup(fuse::root_id, "missing")), ENOENT);
  auto name = add("name", 0444, "x\n");
  const fuse::NodeId id = lookup("name").id;
  EXPECT_EQ(error_of(files.lookup(id, "below")), ENOTDIR);
}

TEST_F(SysfsFileSystem, a_number_that_is_forgotten_is_estale) {
  const auto name = add("name", 0444, "x\n");
  const fuse::NodeId id = lookup("name").id;
  lookup("name");
  files.forget(id, 1);
  EXPECT_TRUE(files.attributes(id));
  files.forget(id, 1);
  EXPECT_EQ(error_of(files.attributes(id)), ESTALE);
  files.forget(id, 1);
  files.forget(fuse::root_id, 100);
  EXPECT_TRUE(files.attributes(fuse::root_id));
  for (const fuse::NodeId nobodys : {fuse::NodeId(0), fuse::NodeId(12345), ~fuse::NodeId(0)}) {
    EXPECT_EQ(error_of(files.attributes(nobodys)), ESTALE);
    EXPECT_EQ(error_of(files.open({}, nobodys, true, false)), ESTALE);
    EXPECT_EQ(error_of(files.read_link(nobodys)), ESTALE);
  }
}

TEST_F(SysfsFileSystem, what_is_gone_keeps_its_attributes_for_who_knows_it) {
  auto name = add("name", 0444, "x\n");
  const fuse::NodeId id = lookup("name").id;
  name.remove();
  EXPECT_EQ(files.attributes(id).value().size, 4096U);
  EXPECT_EQ(error_of(files.open({}, id, true, false)), ENODEV);
  EXPECT_EQ(error_of(files.change(id, {.permissions = 0600, .uid = {}, .gid = {}})), ENODEV);
}

TEST_F(SysfsFileSystem, chmod_and_chown_are_kept_by_the_tree) {
  const auto name = add("name", 0444, "x\n");
  const fuse::NodeId id = lookup("name").id;
  EXPECT_EQ(files.change(id, {.permissions = 0640, .uid = 7, .gid = {}}).value().mode, S_IFREG | 0640U);
  EXPECT_EQ(tree.info(name.node()).uid, 7U);
  EXPECT_EQ(tree.info(name.node()).gid, 0U);
  EXPECT_TRUE(files.change(id, {}));
}

TEST_F(SysfsFileSystem, what_is_roots_belongs_to_who_serves_it) {
  FileSystem users(tree, executor, host.clock(), 0, {.uid = 1000, .gid = 100});
  const auto name = add("name", 0200, "");
  const fuse::NodeId id = users.lookup(fuse::root_id, "name").value().id;
  EXPECT_EQ(users.attributes(id).value().uid, 1000U);
  EXPECT_EQ(users.attributes(id).value().gid, 100U);
  EXPECT_TRUE(users.change(id, {.permissions = {}, .uid = {}, .gid = 7}));
  EXPECT_EQ(users.attributes(id).value().uid, 1000U);
  EXPECT_EQ(users.attributes(id).value().gid, 7U);
}

TEST_F(SysfsFileSystem, a_reader_of_small_pieces_sees_one_state) {
  int shows = 0;
  const auto node = tree.root()
                        .add_attribute({"count", 0444, tree::function_attribute([&]() -> Result<std::string> {
                                          return "state " + std::to_string(++shows);
                                        })})
                        .value();
  const auto file = files.open({}, lookup("count").id, true, false).value();
  EXPECT_EQ(read(*file, 0, 3).value(), "sta");
  EXPECT_EQ(read(*file, 3, 100).value(), "te 1");
  EXPECT_EQ(read(*file, 100, 100).value(), "");
  EXPECT_EQ(read(*file).value(), "state 2");
  const auto another = files.open({}, lookup("count").id, true, false).value();
  EXPECT_EQ(read(*another, 6, 100).value(), "3") << "the first read of a file shows, wherever it begins";
}

TEST_F(SysfsFileSystem, a_show_runs_on_the_executor_and_may_end_after_the_file) {
  const auto name = add("name", 0444, "x\n");
  test::Outcome<std::string> outcome;
  {
    const auto file = files.open({}, lookup("name").id, true, false).value();
    file->read({}, 0, 100, outcome.done());
  }
  EXPECT_FALSE(outcome.is_done());
  executor.run();
  EXPECT_EQ(*outcome.value(), "x\n");
}

TEST_F(SysfsFileSystem, a_store_gets_the_writer_and_a_page) {
  class Keeper final : public tree::Attribute {
   public:
    void store_from(const tree::Writer& who, std::string_view text, Done<std::size_t> done) override {
      writer = who;
      size = text.size();
      done(text.size());
    }
    tree::Writer writer;
    std::size_t size = 0;
  };
  auto keeper = std::make_unique<Keeper>();
  Keeper& kept = *keeper;
  const auto node = tree.root().add_attribute({"create", 0200, std::move(keeper)}).value();
  const auto file = files.open({}, lookup("create").id, false, true).value();
  test::Outcome<std::size_t> outcome;
  {
    const std::vector<std::byte> text(5000);  // gone when the store runs
    file->write({.uid = 1000, .gid = 100, .pid = 42}, 77, text, outcome.done());
  }
  executor.run();
  EXPECT_EQ(*outcome.value(), 4096U);
  EXPECT_EQ(kept.size, 4096U);
  EXPECT_EQ(kept.writer.uid, 1000U);
  EXPECT_EQ(kept.writer.gid, 100U);
  EXPECT_EQ(kept.writer.pid, 42);
}

TEST_F(SysfsFileSystem, a_listing_goes_on_where_there_was_no_more_room) {
  std::vector<tree::NodeHandle> nodes;
  for (int number = 0; number < 600; ++number)
    nodes.push_back(add("n" + std::to_string(1000 + number), 0444, ""));
  const auto directory = files.open_directory(fuse::root_id).value();
  std::vector<std::string> all;
  for (std::uint64_t offset = 0;;) {
    Names some(7);
    ASSERT_TRUE(directory->list(offset, some));
    if (some.names.empty()) break;
    all.insert(all.end(), some.names.begin(), some.names.end());
    offset = some.next;
  }
  ASSERT_EQ(all.size(), 602U);
  EXPECT_EQ(all[0], ".");
  EXPECT_EQ(all[1], "..");
  EXPECT_EQ(all[2], "n1000");
  EXPECT_EQ(all[601], "n1599");
  EXPECT_EQ(list(*directory, 600), (std::vector<std::string>{"n1598", "n1599"})) << "an offset to go back to";
}

TEST_F(SysfsFileSystem, an_offset_behind_the_end_is_the_end) {
  const auto directory = files.open_directory(fuse::root_id).value();
  for (const std::uint64_t offset : {std::uint64_t{3}, std::uint64_t{1} << 40, UINT64_MAX})
    EXPECT_TRUE(list(*directory, offset).empty());
}

TEST_F(SysfsFileSystem, a_listing_from_the_beginning_is_made_afresh) {
  const auto directory = files.open_directory(fuse::root_id).value();
  EXPECT_EQ(list(*directory).size(), 2U);
  auto name = add("name", 0444, "");
  EXPECT_EQ(list(*directory).size(), 3U);
  name.remove();
  EXPECT_EQ(list(*directory).size(), 2U);
}

TEST_F(SysfsFileSystem, a_directory_that_is_gone_is_empty_and_takes_no_files) {
  auto handle = tree.root().add_directory("gone").value();
  const fuse::NodeId id = lookup("gone").id;
  EXPECT_EQ(files.refuse_creation(id).code, EACCES);
  const auto directory = files.open_directory(id).value();
  handle.remove();
  EXPECT_EQ(list(*directory).size(), 2U);
  EXPECT_EQ(files.refuse_creation(id).code, ENOENT);
  EXPECT_EQ(error_of(files.lookup(id, "name")), ENOENT);
}

TEST_F(SysfsFileSystem, a_directory_and_a_link_have_no_content) {
  const auto link = tree.root().add_link("link", tree.root()).value();
  EXPECT_EQ(files.read_link(lookup("link").id).value(), ".");
  EXPECT_EQ(error_of(files.open({}, fuse::root_id, true, false)), EISDIR);
  EXPECT_EQ(error_of(files.open({}, lookup("link").id, true, false)), ELOOP);
  EXPECT_EQ(error_of(files.read_link(fuse::root_id)), EINVAL);
}

}  // namespace
}  // namespace umdev::sysfs
