// Rows C3, C5 to C14, C21 to C26, C38: groups, their files, and the IOMMU groups behind them.
#include "umdev/vfio/group.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/core_world.h"
#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;
using test::DeviceScript;
using test::Ending;
using test::error_of;
using test::ScriptedDevice;

// A bus on which devices of one IOMMU group sit, with drivers of every kind.
struct Machine {
  class AnyMatch final : public device::BusPolicy {
   public:
    bool match(const device::Device&, const device::Driver&) const override { return false; }
  };
  class NamedDriver final : public device::Driver {
   public:
    NamedDriver(std::string name, bool manages_dma, int probe_error = 0)
        : name_(std::move(name)), manages_dma_(manages_dma), probe_error_(probe_error) {}
    std::string_view name() const override { return name_; }
    bool manages_dma() const override { return manages_dma_; }
    Result<> probe(device::Device&) override {
      if (probe_error_ != 0) return fail(probe_error_, "the test said so");
      return {};
    }

   private:
    const std::string name_;
    const bool manages_dma_;
    const int probe_error_;
  };

  CoreWorld world;
  std::shared_ptr<device::Bus> bus =
      device::Bus::create(*world.model, "sim", std::make_unique<AnyMatch>()).value();
  std::vector<Registration> registrations;
  std::vector<std::shared_ptr<device::Device>> devices;
  std::shared_ptr<IommuGroup> group =
      world.core->create_iommu_group("sim", IommuGroup::Kind::physical).value();

  ~Machine() {
    for (auto& device : devices) device->remove(RemovePolicy::force, [](Result<>) {});
  }
  std::shared_ptr<device::Driver> driver(std::string name, bool manages_dma, int probe_error = 0) {
    auto driver = std::make_shared<NamedDriver>(std::move(name), manages_dma, probe_error);
    registrations.push_back(bus->register_driver(driver).value());
    return driver;
  }
  std::shared_ptr<device::Device> device(std::string name) {
    auto device = std::make_shared<device::Device>(*world.model,
                                                   device::Device::Spec{.name = std::move(name), .bus = bus});
    EXPECT_TRUE(device->add());
    devices.push_back(device);
    return device;
  }
  std::shared_ptr<device::Device> member(std::string name) {
    auto added = device(std::move(name));
    EXPECT_TRUE(world.core->add_to_iommu_group(group, added));
    return added;
  }
  static int attach(const std::shared_ptr<device::Device>& device,
                    const std::shared_ptr<device::Driver>& driver) {
    test::Outcome<> outcome;
    device->attach(driver, outcome.done());
    return outcome.error();
  }
  static void detach(const std::shared_ptr<device::Device>& device) {
    device->detach(nullptr, RemovePolicy::force, [](Result<>) {});
  }
  DeviceRegistration vfio(const std::shared_ptr<device::Device>& device) {
    return world.core
        ->register_device(std::make_unique<ScriptedDevice>(std::make_shared<DeviceScript>()),
                          {.parent = device})
        .value();
  }
};

TEST(GroupMinors, C3_the_smallest_free_minor_is_taken) {
  CoreWorld world;
  auto a = world.add_device("a");
  auto b = world.add_device("b");
  auto c = world.add_device("c");
  EXPECT_EQ(c.device->group()->minor(), 2U);
  {
    Ending ending(b.registration);
  }
  b.device.reset();
  auto d = world.add_device("d");
  EXPECT_EQ(d.device->group()->minor(), 1U);
  EXPECT_TRUE(world.core->open_group_minor(1));
  EXPECT_EQ(error_of(world.core->open_group_minor(3)), ENODEV);
}

TEST(Groups, C5_racing_registrations_of_one_iommu_group_make_one_group) {
  Machine machine;
  constexpr std::size_t count = 16;
  std::vector<std::shared_ptr<device::Device>> members;
  for (std::size_t i = 0; i < count; ++i) members.push_back(machine.member("d" + std::to_string(i)));
  std::vector<DeviceRegistration> registered(count);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i)
      threads.emplace_back([&, i] { registered[i] = machine.vfio(members[i]); });
  }
  EXPECT_EQ(machine.world.core->status().groups, 1U);
  for (const auto& device : registered) EXPECT_EQ(device.device->group(), registered[0].device->group());
}

TEST(Groups, C6_lookups_that_race_the_release_of_a_group_never_see_a_freed_one) {
  CoreWorld world;
  std::atomic<bool> stop = false;
  std::jthread seeker([&] {
    while (!stop.load()) {
      if (auto file = world.core->open_group(0)) {
        EXPECT_EQ((*file)->group().name(), "0");
      }
      if (auto file = world.core->open_group_minor(0)) {
        EXPECT_EQ((*file)->group().minor(), 0U);
      }
    }
  });
  auto parent = world.add_parent("a");
  for (int round = 0; round < 200; ++round) {
    auto registered = world.core->register_emulated_device(
        std::make_unique<ScriptedDevice>(std::make_shared<DeviceScript>()), {.parent = parent});
    if (!registered) continue;  // its number may still be held by the seeker's file
    registered->registration.unregister(RemovePolicy::wait, [](Result<>) {});
  }
  stop.store(true);
}

TEST(Groups, C7_the_last_reference_may_go_inside_an_observer_of_the_group) {
  struct Dropper : IommuGroupObserver {
    void iommu_group_changed(IommuGroupEvent, device::Device&) override { file.reset(); }
    std::shared_ptr<GroupFile> file;
  };
  Machine machine;
  auto a = machine.member("a");
  auto registered = machine.vfio(a);
  Dropper dropper;
  dropper.file = machine.world.core->open_group(machine.group->number()).value();
  ASSERT_TRUE(dropper.file->set_container(machine.world.core->open_container()));
  machine.group->subscribe(dropper);
  EXPECT_EQ(Machine::attach(a, machine.driver("stub", true)), 0);
  machine.group->unsubscribe(dropper);
  EXPECT_FALSE(machine.group->claimed()) << "the file's release left the container from inside the observer";
}

TEST(Groups, C8_C9_a_device_is_found_in_its_group_by_name_from_registration_to_removal) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  EXPECT_TRUE(session.group->has_device(*device.device));
  EXPECT_EQ(error_of(CoreWorld::get_device(*session.group, "b")), ENODEV);
  Ending ending(device.registration);
  EXPECT_FALSE(session.group->has_device(*device.device));
}

TEST(Viability, C10_a_group_is_viable_with_no_driver_a_vfio_driver_or_pci_stub_and_not_with_another) {
  Machine machine;
  auto vfio_device = machine.member("a");
  auto neighbour = machine.member("b");
  auto registered = machine.vfio(vfio_device);
  auto file = machine.world.core->open_group(machine.group->number()).value();
  EXPECT_TRUE(file->status()->viable);
  EXPECT_EQ(Machine::attach(neighbour, machine.driver("pci-stub", true)), 0);
  EXPECT_TRUE(file->status()->viable);
  Machine::detach(neighbour);
  EXPECT_EQ(Machine::attach(neighbour, machine.driver("e1000e", false)), 0);
  EXPECT_FALSE(file->status()->viable);
  EXPECT_EQ(error_of(file->set_container(machine.world.core->open_container())), EBUSY);
  Machine::detach(neighbour);
  EXPECT_TRUE(file->status()->viable);
  EXPECT_TRUE(file->set_container(machine.world.core->open_container()));
}

TEST(Viability, C10_a_foreign_driver_that_was_bound_before_the_device_joined_counts_too) {
  Machine machine;
  auto neighbour = machine.device("b");
  EXPECT_EQ(Machine::attach(neighbour, machine.driver("e1000e", false)), 0);
  ASSERT_TRUE(machine.world.core->add_to_iommu_group(machine.group, neighbour));
  EXPECT_FALSE(machine.group->viable());
}

TEST(Viability, C11_a_device_between_unregistration_and_unbinding_does_not_spoil_the_group) {
  Machine machine;
  auto a = machine.member("a");
  auto b = machine.member("b");
  EXPECT_EQ(Machine::attach(a, machine.driver("vfio-sim", true)), 0);
  auto registered_a = machine.vfio(a);
  auto registered_b = machine.vfio(b);
  auto file = machine.world.core->open_group(machine.group->number()).value();
  auto container = machine.world.core->open_container();
  ASSERT_TRUE(file->set_container(container));
  {
    Ending ending(registered_a.registration);
  }  // unregistered from VFIO, its driver still bound
  EXPECT_TRUE(machine.group->viable());
  EXPECT_TRUE(file->unset_container());
  EXPECT_TRUE(file->set_container(container)) << "the group can be had again in that gap";
}

TEST(HotAdd, C12_to_an_idle_group_is_silent_to_a_live_one_is_warned_of_and_counted) {
  Machine machine;
  auto a = machine.member("a");
  auto registered = machine.vfio(a);
  machine.member("idle");
  EXPECT_EQ(machine.group->hot_adds_to_live_group(), 0U);
  EXPECT_EQ(machine.world.host.log().count(LogLevel::warning), 0U);
  auto file = machine.world.core->open_group(machine.group->number()).value();
  ASSERT_TRUE(file->set_container(machine.world.core->open_container()));
  auto live = machine.member("live");
  EXPECT_EQ(machine.group->hot_adds_to_live_group(), 1U);
  EXPECT_TRUE(machine.world.host.log().contains("live IOMMU group"));
  EXPECT_TRUE(file->status()->container_set) << "the group keeps working";
  EXPECT_EQ(error_of(machine.group->add_device(live)), EEXIST);
  EXPECT_EQ(error_of(machine.group->add_device(live)), EEXIST);
  EXPECT_EQ(machine.world.host.log().count(LogLevel::warning), 2U) << "a known device is warned of once";
  ASSERT_TRUE(file->unset_container());
  EXPECT_EQ(Machine::attach(live, machine.driver("e1000e", false)), 0);
  EXPECT_FALSE(file->status()->viable) << "viability is judged with the new device";
}

TEST(LiveGroup, C13_a_foreign_driver_is_refused_while_the_group_is_in_use) {
  Machine machine;
  auto a = machine.member("a");
  auto neighbour = machine.member("b");
  auto registered = machine.vfio(a);
  auto file = machine.world.core->open_group(machine.group->number()).value();
  ASSERT_TRUE(file->set_container(machine.world.core->open_container()));
  auto foreign = machine.driver("e1000e", false);
  EXPECT_EQ(Machine::attach(neighbour, foreign), EBUSY);
  EXPECT_EQ(Machine::attach(neighbour, machine.driver("pci-stub", true)), 0);
  Machine::detach(neighbour);
  ASSERT_TRUE(file->unset_container());
  EXPECT_EQ(Machine::attach(neighbour, foreign), 0);
}

TEST(LiveGroup, C13_a_foreign_driver_whose_probe_fails_leaves_the_group_viable) {
  Machine machine;
  auto a = machine.member("a");
  EXPECT_EQ(Machine::attach(a, machine.driver("broken", false, ENXIO)), ENXIO);
  EXPECT_TRUE(machine.group->viable());
}

TEST(GroupEvents, C14_each_event_is_seen_once_and_in_order) {
  struct Recorder : IommuGroupObserver {
    void iommu_group_changed(IommuGroupEvent event, device::Device&) override { events.push_back(event); }
    std::vector<IommuGroupEvent> events;
  };
  Machine machine;
  Recorder recorder;
  machine.group->subscribe(recorder);
  auto a = machine.member("a");
  EXPECT_EQ(Machine::attach(a, machine.driver("stub", true)), 0);
  Machine::detach(a);
  machine.world.core->remove_from_iommu_group(a);
  using enum IommuGroupEvent;
  EXPECT_EQ(recorder.events,
            (std::vector{add_device, bind_driver, bound_driver, unbind_driver, unbound_driver, del_device}));
  machine.group->unsubscribe(recorder);
}

TEST(GroupFile, C21_closing_the_group_first_detaches_when_the_device_is_closed) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  auto iommu_group = world.core->iommu_group_of(device.parent);
  session.group.reset();
  EXPECT_TRUE(iommu_group->claimed());
  EXPECT_EQ(session.container->group_count(), 1U);
  session.device.reset();
  EXPECT_FALSE(iommu_group->claimed());
  EXPECT_EQ(session.container->group_count(), 0U);
}

TEST(GroupFile, C22_a_container_use_needs_a_container_with_a_driver) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto group = world.core->open_group(device.group).value();
  EXPECT_EQ(error_of(ContainerUser::acquire(group)), EINVAL);
  auto container = world.core->open_container();
  ASSERT_TRUE(group->set_container(container));
  EXPECT_EQ(error_of(ContainerUser::acquire(group)), EINVAL);
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_TRUE(ContainerUser::acquire(group));
}

TEST(GroupFile, C23_a_group_opens_once_until_its_file_and_its_devices_are_closed) {
  CoreWorld world;
  auto device = world.add_device("a");
  EXPECT_EQ(error_of(world.core->open_group(99)), ENODEV);
  auto session = world.open(device);
  EXPECT_EQ(error_of(world.core->open_group(device.group)), EBUSY);
  session.group.reset();
  EXPECT_EQ(error_of(world.core->open_group(device.group)), EBUSY) << "the device keeps the file";
  session.device.reset();
  EXPECT_TRUE(world.core->open_group(device.group));
}

TEST(GroupFile, C24_status_tells_viable_and_container_set) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto group = world.core->open_group(device.group).value();
  EXPECT_TRUE(group->status()->viable);
  EXPECT_FALSE(group->status()->container_set);
  auto container = world.core->open_container();
  ASSERT_TRUE(group->set_container(container));
  EXPECT_TRUE(group->status()->container_set);
  EXPECT_TRUE(group->status()->viable);
  Ending ending(device.registration);
  EXPECT_EQ(error_of(group->status()), ENODEV);
}

TEST(GetDevice, C25_errors_in_their_order) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto group = world.core->open_group(device.group).value();
  EXPECT_EQ(error_of(CoreWorld::get_device(*group, "b")), ENODEV)
      << "the name is looked up before the container";
  EXPECT_EQ(error_of(CoreWorld::get_device(*group, "a")), EINVAL);
  auto container = world.core->open_container();
  ASSERT_TRUE(group->set_container(container));
  EXPECT_EQ(error_of(CoreWorld::get_device(*group, "a")), EINVAL) << "no IOMMU driver";
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  device.script->open_error = EPERM;
  EXPECT_EQ(error_of(CoreWorld::get_device(*group, "a")), EPERM);
  device.script->open_error = 0;
  EXPECT_TRUE(CoreWorld::get_device(*group, "a"));
}

TEST(GetDevice, B12_a_token_is_matched_by_the_device_none_included) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  const Uuid right = Uuid::parse("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001").value();
  const Uuid wrong = Uuid::parse("83b8f4f2-509f-382f-3c1e-e6bfe0fa1002").value();
  const auto get = [&](const std::optional<Uuid>& token) {
    test::Outcome<std::shared_ptr<DeviceFile>> outcome;
    session.group->get_device("a", outcome.done(), token);
    return outcome.error();
  };
  EXPECT_EQ(get(std::nullopt), 0);
  EXPECT_EQ(get(right), EINVAL) << "given but not used";
  device.script->token = right;
  EXPECT_EQ(get(std::nullopt), EACCES);
  EXPECT_EQ(get(wrong), EACCES);
  EXPECT_EQ(get(right), 0);
}

TEST(DeviceFileClose, C26_driver_then_container_use_then_reference) {
  CoreWorld world;
  auto device = world.add_device("a");
  device.script->hold_close = true;
  auto session = world.open(device);
  session.device.reset();
  EXPECT_EQ(device.script->count("close"), 1U);
  EXPECT_EQ(error_of(session.group->unset_container()), EBUSY) << "the use ends after the driver's close";
  EXPECT_EQ(device.device->reference_count(), 1U) << "and the reference after that";
  device.script->take(device.script->held_close)();
  EXPECT_EQ(device.device->reference_count(), 0U);
  EXPECT_TRUE(session.group->unset_container());
}

TEST(GroupNames, C38_the_node_is_vfio_and_the_number_of_the_iommu_group) {
  CoreWorld world;
  auto device = world.add_device("a");
  const std::string number = std::to_string(device.group);
  EXPECT_EQ(device.device->group()->name(), number);
  const std::string uevent = world.tree.read("/devices/virtual/vfio/" + number + "/uevent").value();
  EXPECT_NE(uevent.find("DEVNAME=vfio/" + number + "\n"), std::string::npos) << uevent;
}

}  // namespace
}  // namespace umdev::vfio
