// Rows C1, C2, C4, C15 to C20, C27: containers and what is attached to them.
#include "umdev/vfio/container.h"

#include <gtest/gtest.h>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/fake_iommu_driver.h"
#include "tests/support/outcome.h"
#include "umdev/iommu/no_iommu.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;
using test::error_of;
using test::FakeIommuDriver;
using test::FakeIommuOptions;

CoreWorld::Options without_type1() {
  return {.type1 = false};
}

std::shared_ptr<FakeIommuDriver> fake(FakeIommuOptions options = {}) {
  return std::make_shared<FakeIommuDriver>(std::move(options));
}

TEST(IommuDrivers, C1_the_same_driver_twice_is_einval_and_after_unregister_set_iommu_is_enodev) {
  CoreWorld world(without_type1());
  auto driver = fake();
  auto registration = world.core->register_iommu_driver(driver);
  ASSERT_TRUE(registration);
  EXPECT_EQ(error_of(world.core->register_iommu_driver(driver)), EINVAL);
  auto device = world.add_device("a");
  auto container = world.core->open_container();
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  registration->unregister(RemovePolicy::wait, [](Result<>) {});
  EXPECT_EQ(error_of(container->set_iommu(abi::vfio_type1v2_iommu)), ENODEV);
}

TEST(IommuDrivers, C1_register_device_without_unregister_device_is_einval) {
  CoreWorld world(without_type1());
  EXPECT_EQ(error_of(world.core->register_iommu_driver(fake({.unregisters_devices = false}))), EINVAL);
  EXPECT_EQ(error_of(world.core->register_iommu_driver(fake({.registers_devices = false}))), EINVAL);
  EXPECT_TRUE(
      world.core->register_iommu_driver(fake({.registers_devices = false, .unregisters_devices = false})));
}

TEST(IommuDrivers, C2_a_back_end_sees_groups_maps_and_users_in_order) {
  CoreWorld world(without_type1());
  auto driver = fake();
  auto registration = world.core->register_iommu_driver(driver).value();
  auto device = world.add_device("a");
  auto session = world.open(device);
  ASSERT_TRUE(session.container->iommu().value()->map({.iova = 0x1000, .size = 0x1000}));
  session = {};
  const std::string group = std::to_string(device.group);
  EXPECT_EQ(driver->calls().all(),
            (std::vector<std::string>{"open 3", "attach " + group, "register", "map 0x1000 0x1000",
                                      "unregister", "detach " + group, "release"}));
}

TEST(Container, C4_C19_the_back_end_is_released_with_the_last_group_and_the_container_is_virgin_again) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto container = world.core->open_container();
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  ASSERT_TRUE(container->iommu().value()->map(
      {.flags = 3, .iova = 0, .size = 4096, .backing = std::make_shared<test::MemoryBacking>(4096)}));
  EXPECT_EQ(container->iommu().value()->mapping_count(), 1U);
  ASSERT_TRUE(group->unset_container());
  EXPECT_EQ(error_of(container->iommu()), EINVAL);
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1_iommu)) << "the IOMMU may be set again, another type too";
  EXPECT_EQ(container->iommu().value()->mapping_count(), 0U);
}

TEST(Container, C4_closing_the_container_file_detaches_nothing) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  std::weak_ptr<Container> container = session.container;
  session.container.reset();
  EXPECT_FALSE(container.expired());
  EXPECT_TRUE(session.device->container()->iommu());
  session.device.reset();
  EXPECT_TRUE(session.group->status()->container_set);
  session.group.reset();
  EXPECT_TRUE(container.expired());
}

TEST(CheckExtension, C15_without_a_driver_every_back_end_is_asked_with_one_only_that_one) {
  CoreWorld world(without_type1());
  auto one = fake({.extensions = {abi::vfio_type1v2_iommu}});
  auto two = fake({.extensions = {abi::vfio_type1_iommu, abi::vfio_dma_cc_iommu}});
  auto registration_one = world.core->register_iommu_driver(one).value();
  auto registration_two = world.core->register_iommu_driver(two).value();
  auto container = world.core->open_container();
  EXPECT_EQ(container->check_extension(abi::vfio_type1v2_iommu), 1);
  EXPECT_EQ(container->check_extension(abi::vfio_type1_iommu), 1);
  EXPECT_EQ(container->check_extension(99), 0);
  auto device = world.add_device("a");
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_EQ(container->check_extension(abi::vfio_type1v2_iommu), 1);
  EXPECT_EQ(container->check_extension(abi::vfio_type1_iommu), 0);
}

TEST(SetIommu, C16_errors_of_set_iommu) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto container = world.core->open_container();
  EXPECT_EQ(error_of(container->set_iommu(abi::vfio_type1v2_iommu)), EINVAL) << "no group";
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  EXPECT_EQ(error_of(container->set_iommu(abi::vfio_spapr_tce_iommu)), ENODEV);
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_EQ(error_of(container->set_iommu(abi::vfio_type1v2_iommu)), EINVAL) << "set already";
}

TEST(SetIommu, C16_a_group_that_cannot_be_attached_detaches_those_before_it_and_the_next_driver_is_tried) {
  CoreWorld world(without_type1());
  auto fallback = fake({.name = "fallback"});
  auto picky = fake({.name = "picky"});
  auto registration_one = world.core->register_iommu_driver(fallback).value();
  auto registration_two = world.core->register_iommu_driver(picky).value();  // the last one is asked first
  auto a = world.add_device("a");
  auto b = world.add_device("b");
  auto container = world.core->open_container();
  auto group_a = world.core->open_group(a.group).value();
  auto group_b = world.core->open_group(b.group).value();
  ASSERT_TRUE(group_a->set_container(container));
  ASSERT_TRUE(group_b->set_container(container));
  picky->calls().fail("attach " + std::to_string(b.group), EPERM);
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_EQ(picky->calls().count("detach " + std::to_string(a.group)), 1U);
  EXPECT_EQ(picky->calls().count("release"), 1U);
  EXPECT_EQ(fallback->calls().count("attach " + std::to_string(b.group)), 1U);

  group_a.reset();
  group_b.reset();
  auto again = world.core->open_group(a.group).value();
  ASSERT_TRUE(again->set_container(container));
  picky->calls().fail("attach", EPERM);
  fallback->calls().fail("attach", EIO);
  EXPECT_EQ(error_of(container->set_iommu(abi::vfio_type1v2_iommu)), EIO)
      << "the error of the last that tried";
}

TEST(Container, C17_a_container_without_a_driver_answers_einval_to_every_other_command) {
  CoreWorld world;
  auto container = world.core->open_container();
  EXPECT_EQ(abi::vfio_api_version, 0);
  EXPECT_EQ(error_of(container->iommu()), EINVAL);
}

TEST(SetContainer, C18_errors_of_set_container) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto container = world.core->open_container();
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  EXPECT_EQ(error_of(group->set_container(world.core->open_container())), EINVAL) << "in one already";
  Registration registration = std::move(device.registration);
  registration.unregister(RemovePolicy::wait, [](Result<>) {});
  EXPECT_EQ(error_of(group->set_container(container)), ENODEV) << "the last device has gone";
}

TEST(SetContainer, C18_a_later_group_is_attached_to_the_driver_that_is_set) {
  CoreWorld world(without_type1());
  auto driver = fake();
  auto registration = world.core->register_iommu_driver(driver).value();
  auto a = world.add_device("a");
  auto b = world.add_device("b");
  auto session = world.open(a);
  auto group_b = world.core->open_group(b.group).value();
  driver->calls().fail("attach " + std::to_string(b.group), EPERM);
  EXPECT_EQ(error_of(group_b->set_container(session.container)), EPERM);
  EXPECT_FALSE(group_b->status()->container_set);
  EXPECT_TRUE(group_b->status()->viable) << "the claim was given back";
  EXPECT_TRUE(group_b->set_container(session.container));
}

TEST(SetContainer, C18_C39_no_iommu_groups_need_cap_sys_rawio_and_never_mix_with_real_ones) {
  CoreWorld world({.no_iommu_mode = true});
  auto no_iommu = std::make_shared<iommu::NoIommuDriver>();
  auto registration = world.core->register_iommu_driver(no_iommu).value();
  auto real = world.add_device("real");
  auto parent = world.add_parent("bare");
  auto script = std::make_shared<test::DeviceScript>();
  auto bare =
      world.core->register_device(std::make_unique<test::ScriptedDevice>(script), {.parent = parent}).value();
  const std::uint32_t bare_group = bare.device->group()->iommu_group().number();
  EXPECT_EQ(bare.device->group()->name(), "noiommu-" + std::to_string(bare_group));

  EXPECT_EQ(error_of(world.core->open_group(bare_group)), EPERM);
  constexpr Caller root{.sys_rawio = true};
  auto group = world.core->open_group(bare_group, root).value();
  auto container = world.core->open_container(root);
  ASSERT_TRUE(group->set_container(container));
  auto real_group = world.core->open_group(real.group).value();
  EXPECT_EQ(error_of(real_group->set_container(container)), EPERM) << "real beside no-iommu";
  EXPECT_EQ(error_of(container->set_iommu(abi::vfio_type1v2_iommu)), ENODEV)
      << "only the no-iommu driver is allowed";
  ASSERT_TRUE(container->set_iommu(abi::vfio_noiommu_iommu));
  EXPECT_TRUE(CoreWorld::get_device(*group, "bare"));

  auto other = world.core->open_container(root);
  ASSERT_TRUE(real_group->set_container(other));
  ASSERT_TRUE(group->unset_container());
  EXPECT_EQ(error_of(group->set_container(other)), EPERM) << "no-iommu beside real";
  EXPECT_EQ(error_of(other->set_iommu(abi::vfio_noiommu_iommu)), ENODEV);
  EXPECT_EQ(world.core->open_container()->check_extension(abi::vfio_noiommu_iommu), 1);
}

TEST(UnsetContainer, C20_none_is_einval_and_an_open_device_is_ebusy) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto group = world.core->open_group(device.group).value();
  EXPECT_EQ(error_of(group->unset_container()), EINVAL);
  group.reset();
  auto session = world.open(device);
  EXPECT_EQ(error_of(session.group->unset_container()), EBUSY);
  session.device.reset();
  EXPECT_TRUE(session.group->unset_container());
}

}  // namespace
}  // namespace umdev::vfio
