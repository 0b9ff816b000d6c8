// Rows C27 to C33: external users and the virtual machine that is one.
#include "umdev/vfio/external_user.h"

#include <gtest/gtest.h>

#include "tests/support/core_world.h"
#include "tests/support/outcome.h"
#include "umdev/iommu/no_iommu.h"
#include "umdev/vfio/virtual_machine.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;
using test::error_of;

TEST(ExternalUser, C27_before_the_vfio_user_has_set_up_acquiring_is_einval) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto group = world.core->open_group(device.group).value();
  EXPECT_EQ(error_of(ExternalUser::acquire(group)), EINVAL);
  auto container = world.core->open_container();
  ASSERT_TRUE(group->set_container(container));
  EXPECT_EQ(error_of(ExternalUser::acquire(group)), EINVAL);
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_TRUE(ExternalUser::acquire(group));
}

TEST(ExternalUser, C28_it_holds_the_group_and_closing_everything_detaches_nothing) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  auto user = ExternalUser::acquire(session.group);
  ASSERT_TRUE(user);
  session.device.reset();
  EXPECT_EQ(error_of(session.group->unset_container()), EBUSY);
  std::weak_ptr<Container> container = session.container;
  session = {};
  EXPECT_FALSE(container.expired());
  EXPECT_EQ(container.lock()->group_count(), 1U);
  EXPECT_EQ(error_of(world.core->open_group(device.group)), EBUSY);
  *user = ExternalUser::acquire(user->file()).value();  // the old use is dropped, the new one is there
  EXPECT_EQ(container.lock()->group_count(), 1U);
}

TEST(ExternalUser, C28_not_a_groups_file_is_einval_and_a_no_iommu_group_is_eperm) {
  EXPECT_EQ(error_of(ExternalUser::acquire(nullptr)), EINVAL);
  CoreWorld world({.no_iommu_mode = true});
  auto no_iommu = std::make_shared<iommu::NoIommuDriver>();
  auto registration = world.core->register_iommu_driver(no_iommu).value();
  auto parent = world.add_parent("bare");
  auto bare =
      world.core
          ->register_device(std::make_unique<test::ScriptedDevice>(std::make_shared<test::DeviceScript>()),
                            {.parent = parent})
          .value();
  constexpr Caller root{.sys_rawio = true};
  auto group = world.core->open_group(bare.device->group()->iommu_group().number(), root).value();
  auto container = world.core->open_container(root);
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_noiommu_iommu));
  EXPECT_EQ(error_of(ExternalUser::acquire(group)), EPERM);
}

TEST(ExternalUser, C29_its_id_is_the_number_of_the_iommu_group) {
  CoreWorld world;
  auto other = world.add_device("other");
  auto device = world.add_device("a");
  auto session = world.open(device);
  EXPECT_EQ(ExternalUser::acquire(session.group)->iommu_id(), device.group);
}

TEST(ExternalUser, C30_after_it_is_dropped_the_group_can_leave_and_the_last_one_out_dissolves) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  session.device.reset();
  {
    auto user = ExternalUser::acquire(session.group);
    EXPECT_EQ(error_of(session.group->unset_container()), EBUSY);
  }
  EXPECT_TRUE(session.group->unset_container());
}

TEST(ExternalUser, C31_match_extension_and_acquire_by_device) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto other = world.add_device("b");
  auto stranger = world.add_parent("stranger");
  auto session = world.open(device);
  auto user = ExternalUser::acquire(*world.core, *device.parent);
  ASSERT_TRUE(user);
  EXPECT_TRUE(user->matches(*session.group));
  auto other_group = world.core->open_group(other.group).value();
  EXPECT_FALSE(user->matches(*other_group));
  EXPECT_EQ(user->check_extension(abi::vfio_dma_cc_iommu), 1);
  EXPECT_EQ(error_of(ExternalUser::acquire(*world.core, *stranger)), ENODEV);
  other_group.reset();
  EXPECT_EQ(error_of(ExternalUser::acquire(*world.core, *other.parent)), EINVAL)
      << "not open by its VFIO user";
}

TEST(ExternalUser, C32_the_file_itself_answers_for_its_group) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto other = world.add_device("b");
  auto session = world.open(device);
  EXPECT_TRUE(session.group->has_device(*device.device));
  EXPECT_FALSE(session.group->has_device(*other.device));
  EXPECT_EQ(session.group->group().iommu_group().number(), device.group);
  EXPECT_EQ(session.container->check_extension(abi::vfio_dma_cc_iommu), 1);
}

TEST(VirtualMachine, C33_add_twice_is_eexist_and_remove_of_a_stranger_is_enoent) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto other = world.add_device("b");
  auto session = world.open(device);
  auto other_group = world.core->open_group(other.group).value();
  auto machine = std::make_shared<VirtualMachine>();
  EXPECT_EQ(error_of(machine->add_group(other_group)), EINVAL);
  ASSERT_TRUE(machine->add_group(session.group));
  EXPECT_EQ(error_of(machine->add_group(session.group)), EEXIST);
  EXPECT_EQ(error_of(machine->remove_group(*other_group)), ENOENT);
  EXPECT_FALSE(machine->noncoherent());
  ASSERT_TRUE(machine->remove_group(*session.group));
  EXPECT_EQ(machine->group_count(), 0U);
}

TEST(VirtualMachine, C33_a_device_that_is_opened_after_add_knows_its_machine) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  EXPECT_EQ(device.script->user->virtual_machine(), nullptr);
  auto machine = std::make_shared<VirtualMachine>();
  ASSERT_TRUE(machine->add_group(session.group));
  session.device.reset();
  session.device = CoreWorld::get_device(*session.group, "a").value();
  EXPECT_EQ(device.script->user->virtual_machine(), machine);
}

TEST(VirtualMachine, C33_its_death_lets_every_group_go) {
  CoreWorld world;
  auto device = world.add_device("a");
  auto session = world.open(device);
  auto machine = std::make_shared<VirtualMachine>();
  ASSERT_TRUE(machine->add_group(session.group));
  session.device.reset();
  EXPECT_EQ(error_of(session.group->unset_container()), EBUSY);
  machine.reset();
  EXPECT_TRUE(session.group->unset_container());
}

}  // namespace
}  // namespace umdev::vfio
