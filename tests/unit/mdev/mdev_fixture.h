#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/support/fake_parent.h"
#include "tests/support/mdev_world.h"

namespace umdev::mdev {

using test::MdevWorld;
using test::Outcome;
using test::ParentScript;

// What something completes with that may outlive the test's scope.
template <typename T = void>
struct Pending {
  std::shared_ptr<std::optional<Result<T>>> result = std::make_shared<std::optional<Result<T>>>();
  Done<T> done() {
    return [slot = result](Result<T> answer) { *slot = std::move(answer); };
  }
  bool is_done() const { return result->has_value(); }
  // The errno, 0 for success, -1 while it is not done.
  int error() const { return is_done() ? test::error_of(**result) : -1; }
};

// A world with the parent devices/virtual/card/card, whose types card-1 and card-2 take one and two of ports.
class MdevTest : public testing::Test {
 public:
  // What the test has the vendor do refers to the test's own variables; the parent goes after these.
  void TearDown() override {
    script->during_create = {};
    script->during_remove = {};
    script->during_available = {};
  }

  static constexpr const char* card = "/devices/virtual/card/card";

  static ParentSpec card_spec(std::uint32_t ports = 8) {
    return {.device = {},
            .types = {{.name = "1",
                       .pretty_name = "One port",
                       .description = "A card\nwith a port",
                       .device_api = "vfio-pci",
                       .cost = {{"ports", 1}}},
                      {.name = "2",
                       .pretty_name = {},
                       .description = {},
                       .device_api = "vfio-ccw",
                       .cost = {{"ports", 2}}}},
            .resources = {{"ports", ports}},
            .max_instances = {}};
  }
  Registration register_card(ParentSpec spec = card_spec()) {
    return world.register_parent("card", std::move(spec), std::make_unique<test::FakeParent>(script));
  }
  static Uuid uuid(unsigned n) { return MdevWorld::uuid(n); }
  static std::string name(unsigned n) { return uuid(n).to_string(); }
  static std::string type_path(const std::string& type) {
    return std::string(card) + "/mdev_supported_types/" + type;
  }
  static std::string instance_path(unsigned n) { return std::string(card) + "/" + name(n); }

  int create(unsigned n, const std::string& type = "card-1") { return world.create("card", type, uuid(n)); }
  int remove(unsigned n, RemovePolicy policy = RemovePolicy::wait) { return world.remove(uuid(n), policy); }
  // A creation or a removal that may complete later.
  Pending<> begin_create(unsigned n, const std::string& type = "card-1") {
    Pending<> pending;
    world.bus->create({.parent = "card", .type = type, .uuid = uuid(n), .owner = {}, .attributes = {}},
                      pending.done());
    return pending;
  }
  Pending<> begin_remove(unsigned n, RemovePolicy policy = RemovePolicy::wait) {
    Pending<> pending;
    world.bus->remove(uuid(n), policy, pending.done());
    return pending;
  }

  // The tree. The text of an attribute, "errno ENOENT" and the like when there is none.
  std::string show(const std::string& path) {
    auto text = world.tree.read(path);
    return text ? *text : "errno " + std::string(errno_name(text.error().code));
  }
  std::string link(const std::string& path) {
    auto text = world.tree.read_link(path);
    return text ? *text : "errno " + std::string(errno_name(text.error().code));
  }
  std::string available(const std::string& type = "card-1") {
    return show(type_path(type) + "/available_instances");
  }
  bool exists(const std::string& path) { return world.tree.lookup(path).has_value(); }
  // Permission bits in octal, as "0200".
  std::string mode(const std::string& path) {
    const auto node = world.tree.lookup(path);
    if (!node) return "absent";
    char text[8];
    std::snprintf(text, sizeof(text), "%04o", static_cast<unsigned>(world.tree.info(*node).mode));
    return text;
  }
  std::vector<std::string> list(const std::string& path) {
    return world.tree.list(path).value_or(std::vector<std::string>{"nothing"});
  }
  // A write that may complete later.
  Pending<std::size_t> begin_write(const std::string& path, const std::string& text) {
    Pending<std::size_t> pending;
    world.tree.write(path, text, pending.done());
    return pending;
  }
  // The errno of a write, 0 when all of it was taken.
  int write(const std::string& path, const std::string& text) {
    const auto pending = begin_write(path, text);
    world.host.run();
    if (pending.error() == 0) {
      EXPECT_EQ(**pending.result, text.size());
    }
    return pending.error();
  }

  // The events since the last call, as "add /devices/..." with MDEV_STATE where there is one.
  std::vector<std::string> events() {
    std::vector<std::string> lines;
    while (auto event = subscription.next()) {
      std::string line = std::string(device::to_string(event->action)) + " " + event->devpath;
      if (const auto state = event->value("MDEV_STATE")) line += " " + std::string(*state);
      lines.push_back(std::move(line));
    }
    return lines;
  }
  // Forgets the events so far.
  void skip_events() { (void)events(); }

  // The group file's number of an instance that has one, below /dev/vfio.
  std::string group_number(unsigned n) {
    const std::string target = link(instance_path(n) + "/iommu_group");
    return target.substr(target.rfind('/') + 1);
  }

  std::shared_ptr<ParentScript> script = std::make_shared<ParentScript>();
  MdevWorld world;
  device::Events::Subscription subscription = world.model->events().subscribe(10000);
};

// The same with the parent registered.
class CardTest : public MdevTest {
 public:
  Registration parent = register_card();
};

}  // namespace umdev::mdev
