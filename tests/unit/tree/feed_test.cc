// The change feed: order, limits, waking; and a random walk against a plain model.
#include <map>
#include <set>
#include <thread>

#include "tests/unit/tree/tree_fixture.h"
// gtest comes before it
#include <rapidcheck/gtest.h>

namespace umdev::tree {
namespace {

using testing::ElementsAre;

std::vector<std::string> drain(Feed<Event>::Subscription& subscription) {
  constexpr std::string_view kinds[] = {"added ", "removed ", "changed "};
  std::vector<std::string> lines;
  for (;;) {
    Result<Event> event = subscription.next();
    if (!event && event.error().code == EAGAIN) return lines;
    lines.push_back(event ? std::string(kinds[static_cast<int>(event->kind)]) + event->path : "lost");
  }
}

class Changes : public TreeTest {};

TEST_F(Changes, arrive_in_order) {
  auto subscription = tree.subscribe(16);
  NodeHandle bus = root.add_directory("bus").value();
  NodeHandle name = bus.directory().add_attribute(text("name", "")).value();
  EXPECT_TRUE(tree.set_mode(name.node(), 0600));
  EXPECT_TRUE(tree.notify(name.node()));
  name.remove();
  bus.remove();
  EXPECT_THAT(drain(subscription), ElementsAre("added /bus", "added /bus/name", "changed /bus/name",
                                               "changed /bus/name", "removed /bus/name", "removed /bus"));
}

TEST_F(Changes, a_subtree_is_one_event_and_complete_when_it_is_told) {
  bool complete = false;
  auto subscription = tree.subscribe(16, [&] { complete = tree.read("/device/name").has_value(); });
  Transaction transaction(tree);
  const Directory device = transaction.add_directory(root, "device");
  transaction.add_attribute(device, text("name", "x"));
  transaction.add_link(root, "link", device);
  NodeHandle all = transaction.commit().value();
  EXPECT_TRUE(complete);
  all.remove();
  EXPECT_THAT(drain(subscription),
              ElementsAre("added /device", "added /link", "removed /device", "removed /link"));
}

TEST_F(Changes, carry_the_inodes_of_node_and_directory) {
  auto subscription = tree.subscribe(16);
  const NodeHandle bus = root.add_directory("bus").value();
  const Event event = subscription.next().value();
  EXPECT_EQ(event.inode, tree.info(bus.node()).inode);
  EXPECT_EQ(event.parent_inode, 1U);
}

TEST_F(Changes, of_a_transaction_that_failed_are_not_told) {
  const NodeHandle taken = root.add_directory("taken").value();
  auto subscription = tree.subscribe(16);
  Transaction transaction(tree);
  transaction.add_directory(root, "first");
  transaction.add_directory(root, "taken");
  EXPECT_FALSE(transaction.commit());
  EXPECT_THAT(drain(subscription), ElementsAre());
}

TEST_F(Changes, too_many_are_lost_told_and_hold_up_nobody) {
  auto small = tree.subscribe(2);
  auto big = tree.subscribe(16);
  std::vector<NodeHandle> nodes;
  for (const char* name : {"a", "b", "c", "d"}) nodes.push_back(root.add_directory(name).value());
  EXPECT_EQ(small.lost(), 2U);
  EXPECT_THAT(drain(big), ElementsAre("added /a", "added /b", "added /c", "added /d"));
  // What comes before the gap, the gap, and then what came after it was told.
  EXPECT_EQ(small.next().value().path, "/a");
  nodes.push_back(root.add_directory("e").value());
  EXPECT_THAT(drain(small), ElementsAre("added /b", "lost"));
  nodes.push_back(root.add_directory("f").value());
  EXPECT_THAT(drain(small), ElementsAre("added /f"));
  EXPECT_EQ(small.lost(), 3U);
}

TEST_F(Changes, wake_once_until_they_are_read) {
  int wakes = 0;
  auto subscription = tree.subscribe(16, [&] {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    ++wakes;
  });
  const NodeHandle a = root.add_directory("a").value();
  const NodeHandle b = root.add_directory("b").value();
  EXPECT_EQ(wakes, 1);
  drain(subscription);
  const NodeHandle c = root.add_directory("c").value();
  EXPECT_EQ(wakes, 2);
}

TEST_F(Changes, end_with_the_subscription) {
  int wakes = 0;
  {
    auto subscription = tree.subscribe(1, [&] { ++wakes; });
  }
  const NodeHandle a = root.add_directory("a").value();
  EXPECT_EQ(wakes, 0);
}

TEST_F(Changes, of_several_threads_arrive_in_the_order_of_the_tree) {
  auto subscription = tree.subscribe(100000);
  std::vector<std::thread> threads;
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        [[maybe_unused]] const auto directory = root.add_directory("contended");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  bool there = false;
  for (const std::string& line : drain(subscription)) {
    EXPECT_EQ(line, there ? "removed /contended" : "added /contended");
    there = !there;
  }
  EXPECT_FALSE(there);
}

// Whatever is added and removed, the tree and what the events say of it are what a plain set of paths says.
RC_GTEST_PROP(TreeModel, tree_and_events_follow_a_plain_set_of_paths, ()) {
  Tree tree;
  auto subscription = tree.subscribe(10000);
  std::map<std::string, NodeHandle> handles;
  std::set<std::string> told;
  const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(0, 3), rc::gen::inRange(0, 3)));
  for (const auto& [first, second] : steps) {
    const std::string top = "/" + std::to_string(first);
    const std::string below = top + "/" + std::to_string(second);
    const std::string path = *rc::gen::arbitrary<bool>() ? top : below;
    const auto under = [&](const std::string& other) {
      return other == path || other.starts_with(path + "/");
    };
    if (*rc::gen::arbitrary<bool>()) {
      const Result<NodeRef> parent = tree.lookup(path == top ? "/" : top);
      RC_ASSERT(parent.has_value() == (path == top || handles.contains(top)));
      if (!parent) continue;
      const Directory directory = path == top ? tree.root() : handles.at(top).directory();
      Result<NodeHandle> added = directory.add_directory(path.substr(path.rfind('/') + 1));
      RC_ASSERT(added.has_value() == !handles.contains(path));
      if (added) handles.emplace(path, std::move(*added));
    } else {
      std::erase_if(handles, [&](const auto& entry) { return under(entry.first); });
    }
  }
  for (;;) {
    const Result<Event> event = subscription.next();
    if (!event) break;
    if (event->kind == Event::Kind::added) {
      RC_ASSERT(told.insert(event->path).second);
    } else {
      RC_ASSERT(told.erase(event->path) == 1U);
      std::erase_if(told, [&](const std::string& path) { return path.starts_with(event->path + "/"); });
    }
  }
  std::set<std::string> expected;
  for (const auto& [path, handle] : handles) {
    expected.insert(path);
    RC_ASSERT(tree.info(tree.lookup(path).value()).inode == tree.info(handle.node()).inode);
  }
  RC_ASSERT(told == expected);
}

}  // namespace
}  // namespace umdev::tree
