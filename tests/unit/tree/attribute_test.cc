// Shows and stores: the kernel's answers, and how removal meets calls that are running.
#include <atomic>
#include <latch>
#include <memory>
#include <thread>

#include "tests/unit/tree/tree_fixture.h"

namespace umdev::tree {
namespace {

class Attributes : public TreeTest {
 public:
  NodeHandle add(std::string name, Mode mode, Show show, Store store = {}) {
    return root.add_attribute({std::move(name), mode, function_attribute(std::move(show), std::move(store))})
        .value();
  }
};

TEST_F(Attributes, a_show_is_called_for_each_read) {
  int shows = 0;
  const NodeHandle node =
      add("count", 0444, [&]() -> Result<std::string> { return std::to_string(++shows); });
  EXPECT_EQ(tree.read("/count").value(), "1");
  EXPECT_EQ(tree.read("/count").value(), "2");
}

TEST_F(Attributes, a_show_is_cut_to_a_page_without_its_nul) {
  const NodeHandle fits = root.add_attribute(text("fits", std::string(show_limit, 'x'))).value();
  const NodeHandle big = root.add_attribute(text("big", std::string(5000, 'x'))).value();
  EXPECT_EQ(tree.read("/fits").value().size(), 4095U);
  EXPECT_EQ(tree.read("/big").value().size(), 4095U);
}

TEST_F(Attributes, a_shows_error_is_the_readers) {
  const NodeHandle node = add("busy", 0444, []() -> Result<std::string> { return fail(EBUSY, "busy"); });
  EXPECT_EQ(error_of(tree.read("/busy")), EBUSY);
}

TEST_F(Attributes, a_store_gets_the_text_and_says_the_count) {
  std::string got;
  const NodeHandle node = add("create", 0200, {}, [&](std::string_view text, Done<std::size_t> done) {
    got = text;
    done(text.size());
  });
  EXPECT_EQ(write_now(tree, "/create", "hello\n").value(), 6U);
  EXPECT_EQ(got, "hello\n");
}

TEST_F(Attributes, an_open_that_no_mode_bit_allows_is_eacces) {
  const NodeHandle create =
      add("create", 0200, {}, [](std::string_view, Done<std::size_t> done) { done(1); });
  const NodeHandle name = root.add_attribute(text("name", "x")).value();
  EXPECT_EQ(error_of(tree.read("/create")), EACCES);
  EXPECT_EQ(error_of(write_now(tree, "/name", "x")), EACCES);
  EXPECT_EQ(error_of(tree.check_open(create.node(), true, true)), EACCES);
  EXPECT_TRUE(tree.check_open(create.node(), false, true));
  EXPECT_EQ(error_of(tree.check_open(root.node(), true, false)), EISDIR);
}

TEST_F(Attributes, a_mode_that_chmod_gave_does_not_make_a_store) {
  const NodeHandle name = root.add_attribute(text("name", "x")).value();
  const NodeHandle create =
      add("create", 0200, {}, [](std::string_view, Done<std::size_t> done) { done(1); });
  EXPECT_TRUE(tree.set_mode(name.node(), 0644));
  EXPECT_TRUE(tree.set_mode(create.node(), 0600));
  EXPECT_EQ(error_of(write_now(tree, "/name", "y")), EIO);
  EXPECT_EQ(error_of(tree.read("/create")), EIO);
}

TEST_F(Attributes, an_empty_write_is_zero_and_no_store) {
  bool called = false;
  const NodeHandle node = add("create", 0200, {}, [&](std::string_view, Done<std::size_t> done) {
    called = true;
    done(0);
  });
  EXPECT_EQ(write_now(tree, "/create", "").value(), 0U);
  EXPECT_FALSE(called);
}

TEST_F(Attributes, a_long_write_is_cut_to_a_page) {
  const NodeHandle node =
      add("create", 0200, {}, [&](std::string_view text, Done<std::size_t> done) { done(text.size()); });
  EXPECT_EQ(write_now(tree, "/create", std::string(4096, 'x')).value(), 4096U);
  EXPECT_EQ(write_now(tree, "/create", std::string(5000, 'x')).value(), 4096U);
}

TEST_F(Attributes, directories_and_links_have_no_content) {
  const NodeHandle link = root.add_link_to_path("link", "/nowhere").value();
  WriteResult written;
  EXPECT_EQ(error_of(tree.read("/")), EISDIR);
  EXPECT_EQ(error_of(tree.show(root.node())), EISDIR);
  EXPECT_EQ(error_of(tree.show(link.node())), EINVAL);
  tree.store(root.node(), "x", written.done());
  EXPECT_EQ(error_of(*written.result), EISDIR);
  EXPECT_EQ(error_of(tree.read("/link")), ENOENT);
  EXPECT_EQ(error_of(write_now(tree, "/nothing", "x")), ENOENT);
}

TEST_F(Attributes, a_node_that_is_gone_is_enodev_to_who_holds_it) {
  NodeHandle top = root.add_directory("top").value();
  const NodeHandle name =
      top.directory()
          .add_attribute({"name", 0644,
                          function_attribute([]() -> Result<std::string> { return "x"; },
                                             [](std::string_view, Done<std::size_t> done) { done(1); })})
          .value();
  top.remove();
  EXPECT_EQ(error_of(tree.show(name.node())), ENODEV);
  EXPECT_EQ(error_of(tree.check_open(name.node(), true, false)), ENODEV);
  for (const char* content : {"x", ""}) {
    WriteResult written;
    tree.store(name.node(), content, written.done());
    EXPECT_EQ(error_of(*written.result), ENODEV);
  }
}

TEST_F(Attributes, a_store_may_complete_later_even_after_its_node_is_gone) {
  Done<std::size_t> kept;
  NodeHandle node =
      add("create", 0200, {}, [&](std::string_view, Done<std::size_t> done) { kept = std::move(done); });
  WriteResult written;
  tree.write("/create", "x", written.done());
  EXPECT_FALSE(written.result);
  node.remove();
  EXPECT_FALSE(written.result);
  kept(1);
  EXPECT_EQ(written.result->value(), 1U);
}

TEST_F(Attributes, a_store_that_forgets_its_completion_is_ecanceled) {
  const NodeHandle node = add("create", 0200, {}, [](std::string_view, Done<std::size_t>) {});
  EXPECT_EQ(error_of(write_now(tree, "/create", "x")), ECANCELED);
}

TEST_F(Attributes, is_visible_decides_when_the_attribute_is_added) {
  AttributeSpec hidden = text("hidden", "x");
  hidden.is_visible = []() -> Mode { return 0; };
  AttributeSpec narrowed = text("narrowed", "x");
  narrowed.is_visible = []() -> Mode { return 0400; };
  const NodeHandle none = root.add_attribute(std::move(hidden)).value();
  const NodeHandle some = root.add_attribute(std::move(narrowed)).value();
  EXPECT_FALSE(none);
  EXPECT_EQ(error_of(tree.lookup("/hidden")), ENOENT);
  EXPECT_EQ(tree.info(some.node()).mode, 0400);
}

TEST_F(Attributes, the_content_is_destroyed_with_the_removal_though_the_node_is_held) {
  auto resource = std::make_shared<int>(1);
  NodeHandle node = add("x", 0444, [resource]() -> Result<std::string> { return "x"; });
  const NodeRef held = node.node();
  EXPECT_EQ(resource.use_count(), 2);
  node.remove();
  EXPECT_EQ(resource.use_count(), 1);
}

TEST_F(Attributes, the_content_may_remove_other_nodes_when_it_is_destroyed) {
  auto other = std::make_shared<NodeHandle>(root.add_directory("other").value());
  NodeHandle node = add("x", 0444, [other]() -> Result<std::string> { return "x"; });
  other.reset();
  EXPECT_TRUE(tree.lookup("/other"));
  node.remove();
  EXPECT_EQ(error_of(tree.lookup("/other")), ENOENT);
}

TEST_F(Attributes, D40_an_attribute_removes_itself_within_its_store) {
  NodeHandle device = root.add_directory("device").value();
  int completed = 0;
  auto resource = std::make_shared<int>(1);
  const NodeHandle remove =
      device.directory()
          .add_attribute({"remove", 0200,
                          function_attribute(
                              {},
                              [&device, &completed, resource](std::string_view text, Done<std::size_t> done) {
                                device.remove([&completed](Result<>) { ++completed; });
                                EXPECT_EQ(*resource, 1) << "destroyed under the running store";
                                done(text.size());
                              })})
          .value();
  EXPECT_EQ(write_now(tree, "/device/remove", "1").value(), 1U);
  EXPECT_EQ(completed, 1);
  EXPECT_EQ(resource.use_count(), 1) << "kept after the store had returned";
  EXPECT_EQ(error_of(tree.lookup("/device")), ENOENT);
}

TEST_F(Attributes, the_blocking_removal_does_not_wait_for_its_own_store_either) {
  NodeHandle node;
  node = add("remove", 0200, {}, [&](std::string_view text, Done<std::size_t> done) {
    node.remove();
    done(text.size());
  });
  EXPECT_EQ(write_now(tree, "/remove", "1").value(), 1U);
}

// A show that stays inside until it is let out.
class Gate {
 public:
  Show show() {
    return [this]() -> Result<std::string> {
      inside_.count_down();
      out_.wait();
      left = true;
      return "through";
    };
  }
  void wait_inside() { inside_.wait(); }
  void open() { out_.count_down(); }
  std::atomic<bool> left = false;

 private:
  std::latch inside_{1};
  std::latch out_{1};
};

TEST_F(Attributes, removal_completes_when_running_calls_have_left_and_no_other_begins) {
  Gate gate;
  NodeHandle top = root.add_directory("top").value();
  const NodeHandle slow =
      top.directory().add_attribute({"slow", 0444, function_attribute(gate.show())}).value();
  Result<std::string> shown;
  std::thread reader([&] { shown = tree.read("/top/slow"); });
  gate.wait_inside();
  std::atomic<bool> removed = false;
  top.remove([&](Result<>) {
    EXPECT_TRUE(gate.left);
    removed = true;
  });
  EXPECT_FALSE(removed);
  EXPECT_EQ(error_of(tree.lookup("/top")), ENOENT) << "it is hidden at once";
  EXPECT_EQ(error_of(tree.show(slow.node())), ENODEV);
  EXPECT_TRUE(root.add_directory("top")) << "the name is free at once";
  gate.open();
  reader.join();
  EXPECT_TRUE(removed);
  EXPECT_EQ(shown.value(), "through") << "a call that was in ends as if nothing had happened";
}

TEST_F(Attributes, the_blocking_removal_waits_for_running_calls) {
  Gate gate;
  NodeHandle slow = add("slow", 0444, gate.show());
  std::thread reader([&] { [[maybe_unused]] const auto text = tree.read("/slow"); });
  gate.wait_inside();
  std::thread opener([&] { gate.open(); });
  slow.remove();
  EXPECT_TRUE(gate.left);
  reader.join();
  opener.join();
}

TEST_F(Attributes, a_second_remover_waits_for_calls_that_the_first_left_running) {
  Gate gate;
  NodeHandle top = root.add_directory("top").value();
  NodeHandle slow = top.directory().add_attribute({"slow", 0444, function_attribute(gate.show())}).value();
  std::thread reader([&] { [[maybe_unused]] const auto text = tree.read("/top/slow"); });
  gate.wait_inside();
  EXPECT_TRUE(top.directory().remove("slow"));  // waits for nobody
  std::atomic<int> completed = 0;
  const auto count = [&](Result<>) {
    EXPECT_TRUE(gate.left);
    ++completed;
  };
  top.remove(count);
  slow.remove(count);
  EXPECT_EQ(completed, 0);
  gate.open();
  reader.join();
  EXPECT_EQ(completed, 2);
}

TEST_F(Attributes, shows_of_one_attribute_run_at_the_same_time) {
  std::latch both(2);
  const NodeHandle node = add("x", 0444, [&]() -> Result<std::string> {
    both.arrive_and_wait();
    return "x";
  });
  std::thread other([&] { EXPECT_TRUE(tree.read("/x")); });
  EXPECT_TRUE(tree.read("/x"));
  other.join();
}

TEST_F(Attributes, a_show_may_use_the_tree) {
  const NodeHandle node = add("x", 0444, [this]() -> Result<std::string> {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    const NodeHandle below = UMDEV_TRY(root.add_directory("made"));
    return std::to_string(UMDEV_TRY(tree.list("/")).size());
  });
  EXPECT_EQ(tree.read("/x").value(), "2");
}

TEST_F(Attributes, storm_of_readers_and_removers_calls_nothing_after_removal) {
  struct Instance {
    std::atomic<bool> alive = true;
  };
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::vector<std::thread> readers;
  for (int index = 0; index < 3; ++index) {
    readers.emplace_back([&] {
      while (!stop) {
        if (tree.read("/device/name")) ++reads;
        [[maybe_unused]] const auto names = tree.list("/device");
      }
    });
  }
  for (int round = 0; round < 300 || reads < 10; ++round) {
    Instance instance;
    NodeHandle device = root.add_directory("device").value();
    const auto show = [&instance]() -> Result<std::string> {
      EXPECT_TRUE(instance.alive);
      return "x";
    };
    device.directory().add_attribute({"name", 0444, function_attribute(show)}).value().release();
    device.remove();
    instance.alive = false;
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace umdev::tree
