// Rows A4 to A16 and B1, B2, B4, B10, B11: how devices come, are found, and go.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/core_world.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;
using test::DeviceScript;
using test::Ending;
using test::ScriptedDevice;

TEST(Register, A4_counting_starts_only_at_registration) {
  CoreWorld world;
  auto script = std::make_shared<DeviceScript>();
  auto device = std::make_unique<ScriptedDevice>(script);
  EXPECT_EQ(world.core->status().devices, 0U);
  auto parent = world.add_parent("a");
  auto registered = world.core->register_emulated_device(std::move(device), {.parent = parent});
  ASSERT_TRUE(registered);
  EXPECT_EQ(registered->device->reference_count(), 0U);
  EXPECT_EQ(world.core->status().devices, 1U);
}

TEST(Register, A5_a_device_can_be_opened_straight_after_registration) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  EXPECT_EQ(device.script->count("open"), 1U);
}

TEST(Register, A5_a_parent_without_an_iommu_group_is_einval_and_twice_is_ebusy) {
  CoreWorld world;
  auto parent = world.add_parent("a");
  auto script = std::make_shared<DeviceScript>();
  EXPECT_EQ(
      world.core->register_device(std::make_unique<ScriptedDevice>(script), {.parent = parent}).error().code,
      EINVAL);
  auto group = world.core->create_iommu_group("g", IommuGroup::Kind::physical).value();
  ASSERT_TRUE(world.core->add_to_iommu_group(group, parent));
  auto first = world.core->register_device(std::make_unique<ScriptedDevice>(script), {.parent = parent});
  ASSERT_TRUE(first);
  EXPECT_EQ(
      world.core->register_device(std::make_unique<ScriptedDevice>(script), {.parent = parent}).error().code,
      EBUSY);
  world.core->remove_from_iommu_group(parent);
}

TEST(Unregister, A6_a_waiting_removal_hides_the_device_and_lets_open_files_work) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  Ending ending(device.registration);
  EXPECT_FALSE(ending.ended());
  EXPECT_EQ(CoreWorld::get_device(*session.group, "a").error().code, ENODEV);
  EXPECT_TRUE(session.device->info());
  session.device.reset();
  EXPECT_TRUE(ending.ended());
  EXPECT_EQ(device.script->count("destroyed"), 1U);
}

TEST(Unregister, A2_B10_users_are_asked_again_and_again_with_a_rising_count) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  Ending ending(device.registration);
  EXPECT_EQ(device.script->count("request 0"), 1U);
  world.host.advance(std::chrono::seconds(10));
  EXPECT_EQ(device.script->count("request 1"), 1U);
  world.host.advance(std::chrono::seconds(10));
  EXPECT_EQ(device.script->count("request 2"), 1U);
  EXPECT_FALSE(ending.ended());
  session = {};
  EXPECT_TRUE(ending.ended());
  world.host.advance(std::chrono::seconds(100));
  EXPECT_EQ(device.script->count("request 3"), 0U);
}

TEST(Unregister, B10_request_reaches_the_events_of_the_file) {
  struct Events : DeviceFileEvents {
    void release_requested(unsigned count) override { last = static_cast<int>(count); }
    int last = -1;
  };
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  auto events = std::make_shared<Events>();
  session.device->set_events(events);
  Ending ending(device.registration);
  world.host.advance(std::chrono::seconds(10));
  EXPECT_EQ(events->last, 1);
}

TEST(Unregister, busy_policy_refuses_while_the_device_is_open_and_leaves_it_registered) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  Ending refused(device.registration, RemovePolicy::busy);
  ASSERT_TRUE(refused.ended());
  EXPECT_EQ((*refused.result)->error().code, EBUSY);
  EXPECT_TRUE(CoreWorld::get_device(*session.group, "a"));
  session = {};
  Ending accepted(device.registration, RemovePolicy::busy);
  ASSERT_TRUE(accepted.ended());
  EXPECT_TRUE(**accepted.result);
}

TEST(Unregister, force_tells_the_user_and_cuts_it_off_at_the_deadline) {
  struct Events : DeviceFileEvents {
    void revoked() override { ++count; }
    int count = 0;
  };
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  auto events = std::make_shared<Events>();
  session.device->set_events(events);
  Ending ending(device.registration, RemovePolicy::force);
  EXPECT_EQ(events->count, 1);
  EXPECT_FALSE(ending.ended());
  world.host.advance(std::chrono::seconds(5));
  EXPECT_TRUE(ending.ended());
  EXPECT_EQ(device.script->count("close"), 1U);
  EXPECT_EQ(device.script->count("destroyed"), 1U);
  EXPECT_EQ(session.device->info().error().code, ENODEV);
}

TEST(Unregister, A2_a_wait_ends_by_force_after_its_own_deadline) {
  CoreWorld world({.limits = {.remove_deadline = std::chrono::minutes(1)}});
  auto device = world.add_device("a");
  auto session = world.open(device);
  Ending ending(device.registration);
  world.host.advance(std::chrono::seconds(59));
  EXPECT_FALSE(ending.ended());
  world.host.advance(std::chrono::seconds(1));
  EXPECT_TRUE(ending.ended());
}

TEST(DeviceSets, A7_a_device_leaves_its_set_before_its_memory_goes) {
  CoreWorld world;
  const int id = 0;
  std::vector<test::CoreWorld::Registered> devices;
  for (const char* name : {"a", "b"}) {
    auto script = std::make_shared<DeviceScript>();
    auto parent = world.add_parent(name);
    auto registered = world.core->register_emulated_device(std::make_unique<ScriptedDevice>(script),
                                                           {.parent = parent, .device_set = &id});
    devices.push_back({.script = script,
                       .parent = parent,
                       .device = registered->device,
                       .registration = std::move(registered->registration),
                       .group = registered->device->group()->iommu_group().number()});
  }
  DeviceSet& set = devices[0].device->device_set();
  EXPECT_EQ(set.size(), 2U);
  EXPECT_TRUE(set.contains(*devices[1].device));
  Ending ending(devices[1].registration);
  devices[1].device.reset();
  EXPECT_EQ(set.size(), 1U);
}

TEST(DeviceSets, A16_opens_of_one_set_are_serialised_and_counted_together) {
  CoreWorld world;
  const int id = 0;
  auto make = [&](const char* name) {
    auto script = std::make_shared<DeviceScript>();
    script->hold_open = true;
    auto parent = world.add_parent(name);
    auto registered = world.core->register_emulated_device(std::make_unique<ScriptedDevice>(script),
                                                           {.parent = parent, .device_set = &id});
    return std::pair(script, std::move(*registered));
  };
  auto [script_a, a] = make("a");
  auto [script_b, b] = make("b");
  auto container = world.core->open_container();
  auto group_a = world.core->open_group(a.device->group()->iommu_group().number()).value();
  auto group_b = world.core->open_group(b.device->group()->iommu_group().number()).value();
  ASSERT_TRUE(group_a->set_container(container));
  ASSERT_TRUE(group_b->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  std::shared_ptr<DeviceFile> file_a;
  std::shared_ptr<DeviceFile> file_b;
  group_a->get_device("a", [&](auto file) { file_a = file.value(); });
  group_b->get_device("b", [&](auto file) { file_b = file.value(); });
  EXPECT_EQ(script_a->count("open"), 1U);
  EXPECT_EQ(script_b->count("open"), 0U) << "the second open waits for the first";
  script_a->take(script_a->held_open)();
  EXPECT_TRUE(file_a);
  EXPECT_EQ(script_b->count("open"), 1U);
  script_b->take(script_b->held_open)();
  EXPECT_TRUE(file_b);
  EXPECT_EQ(a.device->device_set().open_count(), 2U);
}

TEST(Register, A8_a_driver_embeds_its_state_by_deriving_from_device) {
  struct Mine final : Device {
    std::string_view name() const override { return "mine"; }
    DeviceInfo info() const override { return {.num_regions = 0, .num_irqs = 0}; }
    Result<RegionInfo> region_info(std::uint32_t) const override { return fail(EINVAL, "none"); }
    Result<IrqInfo> irq_info(std::uint32_t) const override { return fail(EINVAL, "none"); }
    int state = 17;
  };
  CoreWorld world;
  auto registered =
      world.core->register_emulated_device(std::make_unique<Mine>(), {.parent = world.add_parent("a")});
  ASSERT_TRUE(registered);
  EXPECT_EQ(static_cast<Mine&>(registered->device->device()).state, 17);
}

TEST(Register, A9_an_opener_that_races_registration_never_sees_a_device_that_is_not_ready) {
  CoreWorld world;
  for (int round = 0; round < 50; ++round) {
    auto script = std::make_shared<DeviceScript>();
    std::atomic<bool> stop = false;
    std::thread racer([&] {
      while (!stop.load()) {
        auto file = world.core->open_group(0);
        if (!file) continue;
        auto container = world.core->open_container();
        if (!(*file)->set_container(container)) continue;
        if (!container->set_iommu(abi::vfio_type1v2_iommu)) continue;
        // Found by name means: complete. Its open is called, and so is its close.
        auto device = CoreWorld::get_device(**file, "a");
        if (device) {
          EXPECT_TRUE((*device)->info());
          return;
        }
      }
    });
    auto device = world.add_device("a", script);
    stop.store(true);
    racer.join();
    Ending ending(device.registration);
    EXPECT_TRUE(ending.ended());
    EXPECT_EQ(script->count("open"), script->count("close"));
    bool gone = false;
    device.parent->remove(RemovePolicy::force, [&](Result<>) { gone = true; });
    EXPECT_TRUE(gone);
  }
}

TEST(Register, A10_B2_creation_may_fail_and_release_comes_exactly_once) {
  CoreWorld world;
  auto script = std::make_shared<DeviceScript>();
  auto parent = world.add_parent("a");
  {
    auto refused = world.core->register_device(std::make_unique<ScriptedDevice>(script), {.parent = parent});
    EXPECT_FALSE(refused);
  }
  EXPECT_EQ(script->count("destroyed"), 1U) << "a device that was refused is destroyed once";
  auto device = world.add_device("b");
  auto session = world.open(device);
  Ending ending(device.registration);
  EXPECT_EQ(device.script->count("destroyed"), 0U);
  session = {};
  EXPECT_EQ(device.script->seen().back(), "destroyed") << "release is the last thing";
}

TEST(Register, A11_an_emulated_device_gets_a_fresh_group_of_its_own) {
  CoreWorld world;
  auto a = world.add_device("a");
  auto b = world.add_device("b");
  EXPECT_NE(a.group, b.group);
  EXPECT_EQ(world.core->iommu_group_of(a.parent)->device_count(), 1U);
  EXPECT_EQ(
      world.core->register_emulated_device(std::make_unique<ScriptedDevice>(a.script), {.parent = a.parent})
          .error()
          .code,
      EBUSY);
  Ending ending(a.registration);
  a.device.reset();
  auto c = world.add_device("c");
  EXPECT_EQ(c.group, a.group) << "the lowest free number";
}

TEST(Find, A12_finds_a_device_the_long_way_and_never_one_that_goes) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto stranger = world.add_parent("b");
  EXPECT_TRUE(world.core->find(*device.parent));
  EXPECT_FALSE(world.core->find(*stranger));
  auto session = world.open(device);
  Ending ending(device.registration);
  EXPECT_FALSE(world.core->find(*device.parent));
  session = {};
  EXPECT_FALSE(world.core->find(*device.parent));
}

TEST(Find, A12_racing_finders_never_see_a_freed_device) {
  CoreWorld world;
  auto parent = world.add_parent("a");
  std::atomic<bool> stop = false;
  std::vector<std::thread> finders;
  for (int i = 0; i < 3; ++i)
    finders.emplace_back([&] {
      while (!stop.load()) {
        const DeviceRef found = world.core->find(*parent);
        if (found) {
          EXPECT_EQ(found->name(), "a");
        }
      }
    });
  for (int round = 0; round < 200; ++round) {
    auto registered = world.core->register_emulated_device(
        std::make_unique<ScriptedDevice>(std::make_shared<DeviceScript>()), {.parent = parent});
    ASSERT_TRUE(registered);
    std::atomic<bool> ended = false;
    registered->registration.unregister(RemovePolicy::wait, [&](Result<>) { ended.store(true); });
    while (!ended.load()) std::this_thread::yield();
  }
  stop.store(true);
  for (auto& finder : finders) finder.join();
}

TEST(Find, A13_a_held_reference_keeps_the_device_registered_and_its_last_put_wakes_the_waiter) {
  CoreWorld world;
  auto device = world.add_device("a");
  DeviceRef reference = world.core->find(*device.parent);
  ASSERT_TRUE(reference);
  Ending ending(device.registration);
  EXPECT_FALSE(ending.ended());
  reference.reset();
  EXPECT_TRUE(ending.ended());
}

TEST(Find, A14_the_driver_data_of_a_device_is_the_device_itself) {
  CoreWorld world;
  auto device = world.add_device("a");
  const DeviceRef reference = world.core->find(*device.parent);
  EXPECT_EQ(&reference->device(), &device.device->device());
  EXPECT_NE(dynamic_cast<ScriptedDevice*>(&reference->device()), nullptr);
}

TEST(NoIommu, A15_a_device_without_a_group_gets_a_dummy_one_when_the_mode_is_on) {
  CoreWorld off;
  EXPECT_EQ(off.core->iommu_group_of(off.add_parent("a"), /*allow_no_iommu=*/true), nullptr);
  CoreWorld on({.no_iommu_mode = true});
  auto parent = on.add_parent("a");
  EXPECT_EQ(on.core->iommu_group_of(parent), nullptr);
  auto group = on.core->iommu_group_of(parent, /*allow_no_iommu=*/true);
  ASSERT_TRUE(group);
  EXPECT_EQ(group->name(), "vfio-noiommu");
  EXPECT_EQ(group->kind(), IommuGroup::Kind::no_iommu);
  EXPECT_EQ(on.host.log().count(LogLevel::warning), 1U);
  on.core->remove_from_iommu_group(parent);
}

TEST(Callbacks, B1_the_name_of_a_driver_stands_in_what_is_logged_of_its_device) {
  CoreWorld world;
  auto device = world.add_device("a");
  device.device->fault("the test said so");
  EXPECT_TRUE(world.host.log().contains("scripted"));
  EXPECT_TRUE(device.device->faulted());
}

TEST(Callbacks, B4_open_and_close_come_once_however_many_files) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  auto second = CoreWorld::get_device(*session.group, "a").value();
  auto third = CoreWorld::get_device(*session.group, "a").value();
  EXPECT_EQ(device.script->count("open"), 1U);
  EXPECT_EQ(device.device->open_count(), 3U);
  session.device.reset();
  second.reset();
  EXPECT_EQ(device.script->count("close"), 0U);
  third.reset();
  EXPECT_EQ(device.script->count("close"), 1U);
}

TEST(Callbacks, B4_an_error_of_open_is_the_error_of_get_device_and_leaves_nothing_open) {
  CoreWorld world;
  auto device = world.add_device("a");
  device.script->open_error = ENXIO;
  auto container = world.core->open_container();
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_EQ(CoreWorld::get_device(*group, "a").error().code, ENXIO);
  EXPECT_EQ(device.device->reference_count(), 0U);
  EXPECT_EQ(device.script->count("close"), 0U);
  EXPECT_TRUE(group->unset_container()) << "no use of the container is left";
}

TEST(Callbacks, B4_an_open_that_is_never_completed_faults_the_device_at_the_deadline) {
  CoreWorld world;
  auto device = world.add_device("a");
  device.script->hold_open = true;
  auto container = world.core->open_container();
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  std::optional<int> code;
  group->get_device("a", [&](auto file) { code = file ? 0 : file.error().code; });
  world.host.advance(std::chrono::seconds(2));
  EXPECT_EQ(code, ETIMEDOUT);
  EXPECT_TRUE(device.device->faulted());
  device.script->take(device.script->held_open)();  // too late: no effect
  EXPECT_EQ(CoreWorld::get_device(*group, "a").error().code, EIO);
}

TEST(Callbacks, B11_match_decides_and_a_negative_answer_ends_the_search) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  device.script->match_answer = 0;
  EXPECT_EQ(CoreWorld::get_device(*session.group, "a").error().code, ENODEV);
  device.script->match_answer = 1;
  EXPECT_TRUE(CoreWorld::get_device(*session.group, "anything token=1"));
  device.script->match_answer = -EACCES;
  EXPECT_EQ(CoreWorld::get_device(*session.group, "a").error().code, EACCES);
}

TEST(Publish, A5_C38_groups_and_devices_appear_in_the_tree_and_go) {
  CoreWorld world;
  auto device = world.add_device("a");
  const std::string number = std::to_string(device.group);
  EXPECT_TRUE(world.tree.lookup("/class/vfio/" + number));
  EXPECT_TRUE(world.tree.lookup("/class/vfio-dev/vfio0"));
  EXPECT_TRUE(world.tree.lookup("/devices/virtual/test/a/vfio-dev/vfio0") ||
              world.tree.lookup("/devices/virtual/test/a/vfio0"));
  EXPECT_EQ(world.tree.read_link("/kernel/iommu_groups/" + number + "/devices/a").value(),
            "../../../../devices/virtual/test/a");
  EXPECT_EQ(world.tree.read_link("/devices/virtual/test/a/iommu_group").value(),
            "../../../../kernel/iommu_groups/" + number);
  Ending ending(device.registration);
  EXPECT_FALSE(world.tree.lookup("/class/vfio/" + number));
  EXPECT_FALSE(world.tree.lookup("/class/vfio-dev/vfio0"));
  device.device.reset();
  EXPECT_FALSE(world.tree.lookup("/kernel/iommu_groups/" + number));
}

}  // namespace
}  // namespace umdev::vfio
