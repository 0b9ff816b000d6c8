// A core with everything it needs, in one process, on a clock that stands still.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/scripted_device.h"
#include "tests/support/test_host.h"
#include "umdev/device/class.h"
#include "umdev/device/model.h"
#include "umdev/iommu/type1.h"
#include "umdev/vfio/core.h"

namespace umdev::test {

// Owns tree, model, core and (unless told otherwise) a registered type1 driver.
class CoreWorld {
 public:
  struct Options {
    Limits limits = {.access_deadline = std::chrono::seconds(2),
                     .request_period = std::chrono::seconds(10),
                     .force_deadline = std::chrono::seconds(5)};
    bool type1 = true;
    bool no_iommu_mode = false;
    vfio::FdWatcher* watcher = nullptr;
  };
  CoreWorld() : CoreWorld(Options{}) {}
  explicit CoreWorld(Options options) : model(device::Model::create(tree).value()) {
    core = vfio::Core::create({.host = &host,
                               .model = model.get(),
                               .watcher = options.watcher,
                               .limits = options.limits,
                               .enable_unsafe_noiommu_mode = options.no_iommu_mode})
               .value();
    device_class = device::Class::create(*model, "test").value();
    if (options.type1) {
      type1 = std::make_shared<iommu::Type1Driver>(host.clock(), options.limits);
      type1_registration = core->register_iommu_driver(type1).value();
    }
  }

  ~CoreWorld() {
    for (const auto& parent : added_)
      parent->remove(RemovePolicy::force, [](Result<>) {});  // an error when the test removed it
    host.run();
  }
  CoreWorld(const CoreWorld&) = delete;
  CoreWorld& operator=(const CoreWorld&) = delete;

  // A device of the model to hang a VFIO device on; published as devices/virtual/test/NAME, removed with the
  // world.
  std::shared_ptr<device::Device> add_parent(const std::string& name) {
    auto parent = std::make_shared<device::Device>(
        *model, device::Device::Spec{.name = name, .device_class = device_class});
    EXPECT_TRUE(parent->add());
    added_.push_back(parent);
    return parent;
  }

  struct Registered {
    std::shared_ptr<DeviceScript> script;
    std::shared_ptr<device::Device> parent;
    std::shared_ptr<vfio::RegisteredDevice> device;
    Registration registration;
    std::uint32_t group = 0;  // the IOMMU group's number
  };
  // A scripted device in a fresh emulated group.
  Registered add_device(const std::string& name,
                        std::shared_ptr<DeviceScript> script = std::make_shared<DeviceScript>()) {
    Registered result{.script = script, .parent = add_parent(name)};
    auto registered =
        core->register_emulated_device(std::make_unique<ScriptedDevice>(script), {.parent = result.parent});
    EXPECT_TRUE(registered);
    result.device = registered->device;
    result.registration = std::move(registered->registration);
    result.group = result.device->group()->iommu_group().number();
    return result;
  }

  // What every VFIO user does: container, group, IOMMU, device.
  struct Session {
    std::shared_ptr<vfio::Container> container;
    std::shared_ptr<vfio::GroupFile> group;
    std::shared_ptr<vfio::DeviceFile> device;
  };
  Session open(const Registered& device) {
    Session session{.container = core->open_container(), .group = core->open_group(device.group).value()};
    EXPECT_TRUE(session.group->set_container(session.container));
    EXPECT_TRUE(session.container->set_iommu(abi::vfio_type1v2_iommu));
    session.device = get_device(*session.group, device.parent->name()).value();
    return session;
  }

  // get_device() where it completes inline.
  static Result<std::shared_ptr<vfio::DeviceFile>> get_device(vfio::GroupFile& group, std::string_view name) {
    Result<std::shared_ptr<vfio::DeviceFile>> result = fail(EINPROGRESS, "not completed inline");
    group.get_device(name, [&](Result<std::shared_ptr<vfio::DeviceFile>> file) { result = std::move(file); });
    return result;
  }

  TestHost host;
  tree::Tree tree;
  std::unique_ptr<device::Model> model;
  std::shared_ptr<iommu::Type1Driver> type1;
  std::unique_ptr<vfio::Core> core;
  std::shared_ptr<device::Class> device_class;
  Registration type1_registration;

 private:
  std::vector<std::shared_ptr<device::Device>> added_;
};

// Begins a registration's end; `ended` says whether it is over.
struct Ending {
  std::shared_ptr<std::optional<Result<>>> result = std::make_shared<std::optional<Result<>>>();
  explicit Ending(Registration& registration, RemovePolicy policy = RemovePolicy::wait) {
    registration.unregister(policy, [slot = result](Result<> answer) { *slot = answer; });
  }
  bool ended() const { return result->has_value(); }
};

}  // namespace umdev::test
