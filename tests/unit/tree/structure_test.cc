// Names, paths, links, listings, metadata, transactions.
#include <chrono>
#include <numeric>

#include "tests/unit/tree/tree_fixture.h"

namespace umdev::tree {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Structure : public TreeTest {};

TEST_F(Structure, a_node_is_found_by_its_path_with_or_without_the_leading_slash) {
  const NodeHandle devices = root.add_directory("devices").value();
  const NodeHandle name = devices.directory().add_attribute(text("name", "mtty\n")).value();
  EXPECT_EQ(tree.lookup("/devices/name").value(), name.node());
  EXPECT_EQ(tree.lookup("devices//name").value(), name.node());
  EXPECT_EQ(tree.lookup("/devices/./../devices/name").value(), name.node());
  EXPECT_EQ(tree.lookup("").value(), root.node());
  EXPECT_EQ(tree.lookup("/..").value(), root.node());
  EXPECT_EQ(tree.path_of(name.node()).value(), "/devices/name");
  EXPECT_EQ(root.path(), "/");
}

TEST_F(Structure, a_path_that_leads_nowhere_is_enoent_and_through_an_attribute_enotdir) {
  const NodeHandle name = root.add_attribute(text("name", "x")).value();
  EXPECT_EQ(error_of(tree.lookup("/nothing")), ENOENT);
  EXPECT_EQ(error_of(tree.lookup("/nothing/below")), ENOENT);
  EXPECT_EQ(error_of(tree.lookup("/name/below")), ENOTDIR);
  EXPECT_EQ(error_of(tree.list(name.node())), ENOTDIR);
  EXPECT_EQ(error_of(tree.child(name.node(), "x")), ENOTDIR);
}

TEST_F(Structure, names_are_unique_in_their_directory) {
  const NodeHandle first = root.add_directory("bus").value();
  EXPECT_EQ(error_of(root.add_directory("bus")), EEXIST);
  EXPECT_EQ(error_of(root.add_attribute(text("bus", ""))), EEXIST);
  EXPECT_EQ(error_of(root.add_link("bus", first.node())), EEXIST);
  EXPECT_EQ(tree.lookup("/bus").value(), first.node());
}

TEST_F(Structure, a_name_is_free_again_when_its_node_is_removed) {
  NodeHandle first = root.add_directory("bus").value();
  first.remove();
  EXPECT_TRUE(root.add_directory("bus"));
}

TEST_F(Structure, impossible_names_are_einval) {
  using namespace std::string_literals;
  for (const std::string& name : {""s, "."s, ".."s, "a/b"s, "/"s, "a\0b"s, std::string(256, 'a')})
    EXPECT_EQ(error_of(root.add_directory(name)), EINVAL) << name;
  EXPECT_TRUE(root.add_directory(std::string(255, 'a')));
}

TEST_F(Structure, nothing_is_added_to_a_directory_that_is_gone) {
  NodeHandle gone = root.add_directory("gone").value();
  const Directory directory = gone.directory();
  gone.remove();
  EXPECT_EQ(error_of(directory.add_directory("below")), ENOENT);
  EXPECT_EQ(error_of(tree.list(directory.node())), ENOENT);
  EXPECT_EQ(error_of(tree.child(directory.node(), "x")), ENOENT);
  EXPECT_EQ(error_of(directory.remove("x")), ENOENT);
  EXPECT_EQ(directory.path(), "");
}

TEST_F(Structure, removing_a_directory_removes_what_is_below_it) {
  NodeHandle top = root.add_directory("top").value();
  const NodeHandle below = top.directory().add_directory("below").value();
  const NodeHandle leaf = below.directory().add_attribute(text("leaf", "x")).value();
  top.remove();
  EXPECT_EQ(error_of(tree.lookup("/top")), ENOENT);
  EXPECT_TRUE(tree.info(below.node()).removed);
  EXPECT_TRUE(tree.info(leaf.node()).removed);
  EXPECT_EQ(error_of(tree.path_of(leaf.node())), ENODEV);
}

TEST_F(Structure, a_released_node_stays_until_its_directory_goes) {
  NodeHandle top = root.add_directory("top").value();
  top.directory().add_directory("below").value().release();
  EXPECT_TRUE(tree.lookup("/top/below"));
  top.remove();
  EXPECT_EQ(error_of(tree.lookup("/top/below")), ENOENT);
}

TEST_F(Structure, a_listing_is_in_the_order_of_names_and_can_be_read_in_parts) {
  std::vector<NodeHandle> handles;
  for (const char* name : {"c", "a", "d", "b"}) handles.push_back(root.add_directory(name).value());
  EXPECT_THAT(tree.list("/").value(), ElementsAre("a", "b", "c", "d"));
  const auto part = tree.list(root.node(), "a", 2).value();
  ASSERT_EQ(part.size(), 2U);
  EXPECT_EQ(part[0].name, "b");
  EXPECT_EQ(part[1].name, "c");
  EXPECT_EQ(part[1].inode, tree.info(handles[0].node()).inode);
  handles[0].remove();
  EXPECT_EQ(tree.list(root.node(), "c", 2).value().at(0).name, "d");  // the cursor itself may be gone
  EXPECT_THAT(tree.list(root.node(), "d").value(), IsEmpty());
}

TEST_F(Structure, D41_links_are_relative_as_in_sysfs) {
  Transaction transaction(tree);
  const Directory bus = transaction.add_directory(transaction.add_directory(root, "bus"), "mdev");
  const Directory bus_devices = transaction.add_directory(bus, "devices");
  const Directory devices = transaction.add_directory(root, "devices");
  const Directory parent = transaction.add_directory(transaction.add_directory(devices, "virtual"), "mtty");
  const Directory type =
      transaction.add_directory(transaction.add_directory(parent, "mdev_supported_types"), "mtty-1");
  const Directory uuid = transaction.add_directory(parent, "83b8f4f2");
  transaction.add_link(uuid, "mdev_type", type);
  transaction.add_link(uuid, "subsystem", bus);
  transaction.add_link(bus_devices, "83b8f4f2", uuid);
  transaction.add_link(type, "83b8f4f2", uuid);
  transaction.add_link(uuid, "self", uuid);
  transaction.add_link(uuid, "up", parent);
  transaction.add_link_to_path(bus, "module", "/module/mdev");
  const NodeHandle all = transaction.commit().value();

  EXPECT_EQ(tree.read_link("/devices/virtual/mtty/83b8f4f2/mdev_type").value(),
            "../mdev_supported_types/mtty-1");
  EXPECT_EQ(tree.read_link("/devices/virtual/mtty/83b8f4f2/subsystem").value(), "../../../../bus/mdev");
  EXPECT_EQ(tree.read_link("/bus/mdev/devices/83b8f4f2").value(), "../../../devices/virtual/mtty/83b8f4f2");
  EXPECT_EQ(tree.read_link("/devices/virtual/mtty/mdev_supported_types/mtty-1/83b8f4f2").value(),
            "../../83b8f4f2");
  EXPECT_EQ(tree.read_link("/devices/virtual/mtty/83b8f4f2/self").value(), "../83b8f4f2");
  EXPECT_EQ(tree.read_link("/devices/virtual/mtty/83b8f4f2/up").value(), "../../mtty");
  EXPECT_EQ(tree.read_link("/bus/mdev/module").value(), "../../module/mdev");
  EXPECT_EQ(error_of(tree.read_link("/bus/mdev")), EINVAL);
}

TEST_F(Structure, links_are_followed_in_the_middle_of_a_path_and_at_its_end_by_resolve_alone) {
  const NodeHandle target = root.add_directory("target").value();
  const NodeHandle name = target.directory().add_attribute(text("name", "it\n")).value();
  const NodeHandle link = root.add_link("link", target.node()).value();
  const NodeHandle path_link = root.add_link_to_path("path_link", "/link").value();
  EXPECT_EQ(tree.lookup("/link/name").value(), name.node());
  EXPECT_EQ(tree.lookup("/path_link/name").value(), name.node());
  EXPECT_EQ(tree.lookup("/link").value(), link.node());
  EXPECT_EQ(tree.resolve("/link").value(), target.node());
  EXPECT_EQ(tree.resolve("/path_link").value(), target.node());
  EXPECT_EQ(tree.lookup("/link/../path_link/name").value(), name.node());
  EXPECT_EQ(tree.read("/path_link/name").value(), "it\n");
}

TEST_F(Structure, a_link_whose_target_is_gone_is_enoent_and_a_circle_eloop) {
  NodeHandle target = root.add_directory("target").value();
  const NodeHandle link = root.add_link("link", target.node()).value();
  target.remove();
  EXPECT_EQ(error_of(tree.resolve("/link")), ENOENT);
  EXPECT_EQ(error_of(tree.read_link("/link")), ENOENT);
  EXPECT_TRUE(tree.lookup("/link"));
  const NodeHandle one = root.add_link_to_path("one", "/two").value();
  const NodeHandle two = root.add_link_to_path("two", "/one").value();
  EXPECT_EQ(error_of(tree.resolve("/one")), ELOOP);
}

TEST_F(Structure, a_link_that_is_gone_is_enodev_to_who_holds_it) {
  const NodeHandle target = root.add_directory("target").value();
  NodeHandle link = root.add_link("link", target.node()).value();
  const NodeRef held = link.node();
  link.remove();
  EXPECT_EQ(error_of(tree.read_link(held)), ENODEV);
}

TEST_F(Structure, info_says_what_lstat_shows_in_sysfs) {
  const NodeHandle directory = root.add_directory("directory").value();
  const NodeHandle below = directory.directory().add_directory("below").value();
  const NodeHandle attribute = directory.directory().add_attribute(text("create", "", 0200)).value();
  const NodeHandle link = root.add_link("link", below.node()).value();
  const NodeInfo directory_info = tree.info(directory.node());
  EXPECT_EQ(directory_info.type, NodeType::directory);
  EXPECT_EQ(directory_info.mode, 0755);
  EXPECT_EQ(directory_info.links, 3U);
  EXPECT_EQ(directory_info.uid, 0U);
  const NodeInfo attribute_info = tree.info(attribute.node());
  EXPECT_EQ(attribute_info.mode, 0200);
  EXPECT_EQ(attribute_info.size, 4096U);
  EXPECT_EQ(attribute_info.links, 1U);
  EXPECT_EQ(tree.info(link.node()).mode, 0777);
  EXPECT_EQ(tree.info(link.node()).size, 0U);
  EXPECT_EQ(tree.info(root.node()).inode, 1U);
}

TEST_F(Structure, inode_numbers_are_never_reused) {
  NodeHandle first = root.add_directory("x").value();
  const std::uint64_t inode = tree.info(first.node()).inode;
  first.remove();
  const NodeHandle second = root.add_directory("x").value();
  EXPECT_GT(tree.info(second.node()).inode, inode);
}

TEST_F(Structure, chmod_and_chown_stay_until_the_node_goes) {
  NodeHandle create = root.add_attribute(text("create", "", 0200)).value();
  EXPECT_TRUE(tree.set_mode(create.node(), 0660));
  EXPECT_TRUE(tree.set_owner(create.node(), 1000, std::nullopt));
  EXPECT_TRUE(tree.set_owner(create.node(), std::nullopt, 44));
  EXPECT_EQ(tree.info(create.node()).mode, 0660);
  EXPECT_EQ(tree.info(create.node()).uid, 1000U);
  EXPECT_EQ(tree.info(create.node()).gid, 44U);
  const NodeRef held = create.node();
  create.remove();
  EXPECT_EQ(error_of(tree.set_mode(held, 0600)), ENODEV);
  EXPECT_EQ(error_of(tree.set_owner(held, 1, 1)), ENODEV);
  EXPECT_EQ(error_of(tree.notify(held)), ENODEV);
  const NodeHandle again = root.add_attribute(text("create", "", 0200)).value();
  EXPECT_EQ(tree.info(again.node()).mode, 0200);
  EXPECT_EQ(tree.info(again.node()).uid, 0U);
}

TEST_F(Structure, a_links_mode_is_fixed) {
  const NodeHandle link = root.add_link_to_path("link", "/x").value();
  EXPECT_EQ(error_of(tree.set_mode(link.node(), 0600)), EOPNOTSUPP);
}

TEST_F(Structure, the_generation_changes_with_the_node_and_its_children) {
  const NodeHandle directory = root.add_directory("directory").value();
  const auto generation = [&](const NodeRef& node) { return tree.info(node).generation; };
  const std::uint32_t before = generation(directory.node());
  NodeHandle below = directory.directory().add_attribute(text("x", "")).value();
  const std::uint32_t added = generation(directory.node());
  EXPECT_NE(before, added);
  const std::uint32_t quiet = generation(below.node());
  EXPECT_TRUE(tree.notify(below.node()));
  EXPECT_NE(generation(below.node()), quiet);
  EXPECT_EQ(generation(directory.node()), added);
  below.remove();
  EXPECT_NE(generation(directory.node()), added);
}

TEST_F(Structure, a_transaction_is_invisible_until_it_is_committed) {
  const NodeHandle devices = root.add_directory("devices").value();
  Transaction transaction(tree);
  const Directory device = transaction.add_directory(devices.directory(), "device");
  transaction.add_attribute(device, text("name", "it\n"));
  transaction.add_link(root, "link", device);
  EXPECT_THAT(tree.list("/devices").value(), IsEmpty());
  EXPECT_THAT(tree.list("/").value(), ElementsAre("devices"));
  EXPECT_EQ(device.path(), "");
  NodeHandle all = transaction.commit().value();
  EXPECT_EQ(tree.read("/link/name").value(), "it\n");
  all.remove();
  EXPECT_THAT(tree.list("/devices").value(), IsEmpty());
  EXPECT_THAT(tree.list("/").value(), ElementsAre("devices"));
}

TEST_F(Structure, a_transaction_that_fails_leaves_nothing) {
  const NodeHandle taken = root.add_directory("taken").value();
  Transaction transaction(tree);
  const Directory first = transaction.add_directory(root, "first");
  transaction.add_attribute(first, text("name", ""));
  transaction.add_link(root, "taken", first);
  EXPECT_EQ(error_of(transaction.commit()), EEXIST);
  EXPECT_THAT(tree.list("/").value(), ElementsAre("taken"));
  EXPECT_EQ(tree.info(root.node()).links, 3U);
}

TEST_F(Structure, a_transaction_tells_the_first_error_at_its_end) {
  Transaction transaction(tree);
  const Directory bad = transaction.add_directory(root, "a/b");
  transaction.add_attribute(bad, text("name", ""));
  transaction.add_directory(root, "good");
  EXPECT_EQ(error_of(transaction.commit()), EINVAL);
  Transaction twice(tree);
  const Directory directory = twice.add_directory(root, "directory");
  twice.add_attribute(directory, text("name", ""));
  twice.add_attribute(directory, text("name", ""));
  EXPECT_EQ(error_of(twice.commit()), EEXIST);
  EXPECT_THAT(tree.list("/").value(), IsEmpty());
}

TEST_F(Structure, a_node_can_be_split_off_its_transactions_handle) {
  Transaction transaction(tree);
  const Directory device = transaction.add_directory(root, "device");
  transaction.add_link(root, "link", device);
  NodeHandle links = transaction.commit().value();
  NodeHandle own = links.split(device.node());
  EXPECT_FALSE(links.split(device.node()));
  links.remove();
  EXPECT_THAT(tree.list("/").value(), ElementsAre("device"));
  own.remove();
  EXPECT_THAT(tree.list("/").value(), IsEmpty());
}

TEST_F(Structure, D40_of_several_removers_by_name_exactly_one_succeeds) {
  const NodeHandle remove = root.add_attribute(text("remove", "")).value();
  EXPECT_TRUE(root.remove("remove"));
  EXPECT_EQ(error_of(root.remove("remove")), ENOENT);
}

TEST_F(Structure, two_trees_live_side_by_side) {
  Tree other;
  const NodeHandle here = root.add_directory("x").value();
  const NodeHandle there = other.root().add_directory("x").value();
  EXPECT_NE(tree.lookup("/x").value(), other.lookup("/x").value());
}

TEST_F(Structure, create_and_remove_do_not_get_dearer_with_the_number_of_siblings) {
  const auto time_of_cycles = [this] {
    auto best = std::chrono::nanoseconds::max();
    for (int round = 0; round < 5; ++round) {
      const auto start = std::chrono::steady_clock::now();
      for (int cycle = 0; cycle < 400; ++cycle) (void)root.add_directory("m-cycle").value();
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
    }
    return best;
  };
  const auto alone = time_of_cycles();
  std::vector<NodeHandle> siblings;
  for (int index = 0; index < 20000; ++index)
    siblings.push_back(root.add_directory("sibling-" + std::to_string(index)).value());
  // A copied listing would make this several hundred times as long; a deeper map a few times.
  EXPECT_LT(time_of_cycles(), 30 * alone);
}

}  // namespace
}  // namespace umdev::tree
