#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "umdev/device/device.h"

namespace umdev::device {

inline int error_of(const auto& result) {
  return result ? 0 : result.error().code;
}

// What something completed with; nothing while it has not.
template <typename T = void>
struct Outcome {
  std::optional<Result<T>> result;
  Done<T> done() {
    return [this](Result<T> got) { result = std::move(got); };
  }
  bool is_done() const { return result.has_value(); }
  // The errno, 0 for success, -1 while it has not completed.
  int error() const { return result ? error_of(*result) : -1; }
};

// Matches what the test says; nothing unless told.
class TestBus final : public BusPolicy {
 public:
  explicit TestBus(std::function<bool(const Device&, const Driver&)> matches)
      : matches_(std::move(matches)) {}
  bool match(const Device& device, const Driver& driver) const override {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    return matches_ && matches_(device, driver);
  }

 private:
  const std::function<bool(const Device&, const Driver&)> matches_;
};

// Answers as it is told; when `holds` is set, probe and remove stay open until the test completes them.
class TestDriver : public Driver {
 public:
  explicit TestDriver(std::string name) : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  void begin_probe(Device& device, Done<> done) override {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    EXPECT_EQ(device.driver().get(), this);
    log.push_back("probe " + device.name());
    if (during_probe) during_probe(device);
    if (holds_probe) return held.push_back(std::move(done));
    done(probe_answer);
  }
  void begin_remove(Device& device, RemovePolicy policy, Done<> done) override {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    log.push_back("remove " + device.name());
    last_policy = policy;
    if (holds_remove) return held.push_back(std::move(done));
    done(policy == RemovePolicy::busy ? remove_answer : Result<>{});
  }
  void force_remove(Device& device) override { log.push_back("force " + device.name()); }
  AttributeGroups device_groups() const override { return groups; }
  std::string_view module_name() const override { return module; }
  bool manages_dma() const override { return dma; }

  // Completes the oldest probe or remove that is held.
  void complete(Result<> result = {}) {
    Done<> done = std::move(held.front());
    held.pop_front();
    done(std::move(result));
  }

  Result<> probe_answer;
  Result<> remove_answer;
  bool holds_probe = false;
  bool holds_remove = false;
  bool dma = false;
  std::string module;
  std::function<void(Device&)> during_probe;
  std::vector<const AttributeGroup*> groups;
  std::vector<std::string> log;
  std::deque<Done<>> held;
  std::optional<RemovePolicy> last_policy;

 private:
  const std::string name_;
};

class RecordingObserver final : public BindObserver {
 public:
  explicit RecordingObserver(std::vector<std::string>& log, std::string name = "")
      : log_(log), name_(std::move(name)) {}
  Result<> driver_binding(Device& device, Driver& driver) override {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    note("binding", device, driver);
    return answer;
  }
  void driver_bound(Device& device, Driver& driver) override { note("bound", device, driver); }
  void driver_bind_failed(Device& device, Driver& driver) override { note("failed", device, driver); }
  void driver_unbinding(Device& device, Driver& driver) override { note("unbinding", device, driver); }
  void driver_unbind_refused(Device& device, Driver& driver) override { note("refused", device, driver); }
  void driver_unbound(Device& device, Driver& driver) override { note("unbound", device, driver); }
  void device_removed(Device&) override { log_.push_back(name_ + "removed"); }
  Result<> answer;

 private:
  void note(const char* what, Device&, Driver& driver) {
    log_.push_back(name_ + what + " " + std::string(driver.name()));
  }
  std::vector<std::string>& log_;
  const std::string name_;
};

// One world: a tree, a model, a bus "mdev" that matches nothing unless told, and what removes it all at the
// end.
class DeviceTest : public testing::Test {
 public:
  DeviceTest() : model(Model::create(tree).value()), events(model->events().subscribe(1000)) {
    bus = make_bus("mdev");
  }
  void TearDown() override {
    for (Registration& registration : registrations) {
      if (registration) registration.unregister(RemovePolicy::force, Done<>([](Result<>) {}));
    }
    while (!devices.empty()) {
      devices.back()->remove(RemovePolicy::force, Done<>([](Result<>) {}));
      devices.pop_back();
    }
  }

  std::shared_ptr<Bus> make_bus(std::string name) {
    auto matches = [this](const Device& device, const Driver& driver) {
      return match && match(device, driver);
    };
    return Bus::create(*model, std::move(name), std::make_unique<TestBus>(matches)).value();
  }
  std::shared_ptr<Device> make(Device::Spec spec) {
    return std::make_shared<Device>(*model, std::move(spec));
  }
  std::shared_ptr<Device> add(Device::Spec spec) {
    auto device = make(std::move(spec));
    EXPECT_TRUE(device->add());
    devices.push_back(device);
    return device;
  }
  std::shared_ptr<Device> add_on_bus(std::string name) { return add({.name = std::move(name), .bus = bus}); }
  std::shared_ptr<TestDriver> add_driver(std::string name) {
    auto driver = std::make_shared<TestDriver>(std::move(name));
    registrations.push_back(bus->register_driver(driver).value());
    return driver;
  }

  static int attach(Device& device, std::shared_ptr<Driver> driver) {
    Outcome<> outcome;
    device.attach(std::move(driver), outcome.done());
    return outcome.error();
  }
  static int detach(Device& device, RemovePolicy policy = RemovePolicy::wait) {
    Outcome<> outcome;
    device.detach(nullptr, policy, outcome.done());
    return outcome.error();
  }
  static int remove(Device& device, RemovePolicy policy = RemovePolicy::wait) {
    Outcome<> outcome;
    device.remove(policy, outcome.done());
    return outcome.error();
  }
  // The errno of a write, 0 when all of it was taken.
  int write(std::string_view path, std::string_view text) {
    Outcome<std::size_t> outcome;
    tree.write(path, text, outcome.done());
    if (outcome.error() == 0) {
      EXPECT_EQ(outcome.result->value(), text.size());
    }
    return outcome.error();
  }
  bool exists(std::string_view path) { return tree.lookup(path).has_value(); }
  std::string link(std::string_view path) { return tree.read_link(path).value_or("no link"); }
  // "add /devices/x", oldest first.
  std::vector<std::string> told() {
    std::vector<std::string> lines;
    while (const Result<Uevent> event = events.next())
      lines.push_back(std::string(to_string(event->action)) + " " + event->devpath);
    return lines;
  }

  tree::Tree tree;
  std::unique_ptr<Model> model;
  Events::Subscription events;
  std::function<bool(const Device&, const Driver&)> match;
  std::shared_ptr<Bus> bus;
  std::vector<std::shared_ptr<Device>> devices;
  std::deque<Registration> registrations;
};

}  // namespace umdev::device
