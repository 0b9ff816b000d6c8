// A device that allows several users at a time, which the kernel does not know: each of them is as alone.
#include <gtest/gtest.h>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/outcome.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;
using test::DeviceScript;
using test::Ending;

class SeveralUsers : public testing::Test {
 public:
  SeveralUsers() { script->users_max = 2; }

  // All but the device.
  CoreWorld::Session enter() {
    CoreWorld::Session session{.container = world.core->open_container(),
                               .group = world.core->open_group(device().group).value()};
    EXPECT_TRUE(session.group->set_container(session.container));
    EXPECT_TRUE(session.container->set_iommu(abi::vfio_type1v2_iommu));
    return session;
  }
  CoreWorld::Registered& device() {
    if (!device_) device_ = world.add_device("shared", script);
    return *device_;
  }

  CoreWorld world;
  std::shared_ptr<DeviceScript> script = std::make_shared<DeviceScript>();

 private:
  std::optional<CoreWorld::Registered> device_;
};

TEST_F(SeveralUsers, each_has_a_container_of_its_own) {
  const auto first = world.open(device());
  const auto second = world.open(device());
  EXPECT_NE(first.container, second.container);
  EXPECT_NE(first.device->user().id(), second.device->user().id());
  EXPECT_EQ(first.group->container(), first.container);
  EXPECT_EQ(second.group->container(), second.container);
  EXPECT_EQ(script->count("open"), 2U);
}

TEST_F(SeveralUsers, one_more_than_it_allows_is_ebusy) {
  const auto first = world.open(device());
  const auto second = world.open(device());
  const auto third = enter();
  EXPECT_EQ(CoreWorld::get_device(*third.group, "shared").error().code, EBUSY);
}

TEST_F(SeveralUsers, who_leaves_makes_room_and_takes_nothing_of_another) {
  auto first = world.open(device());
  const auto second = world.open(device());
  const auto third = enter();
  first = {};
  world.host.run();
  EXPECT_EQ(script->count("close"), 1U);
  EXPECT_TRUE(CoreWorld::get_device(*third.group, "shared"));
  EXPECT_EQ(second.group->container(), second.container);
  EXPECT_TRUE(second.container->iommu());
}

TEST_F(SeveralUsers, files_of_one_container_are_one_user) {
  const auto first = world.open(device());
  auto again = CoreWorld::get_device(*first.group, "shared").value();
  EXPECT_EQ(again->user().id(), first.device->user().id());
  const auto second = world.open(device());
  EXPECT_EQ(script->count("open"), 2U);
  again.reset();
  world.host.run();
  EXPECT_EQ(script->count("close"), 0U);
}

TEST_F(SeveralUsers, each_has_its_own_memory) {
  const auto first = world.open(device());
  const auto second = world.open(device());
  const auto memory = std::make_shared<test::MemoryBacking>(4096);
  ASSERT_TRUE(first.container->iommu().value()->map({.flags = abi::vfio_dma_map_flag_read,
                                                     .iova = 0x1000,
                                                     .size = 4096,
                                                     .vaddr = 0x1000,
                                                     .backing = memory}));
  EXPECT_TRUE(first.device->user().pin({.iova = 0x1000, .size = 4096}, iommu::Access::read));
  EXPECT_EQ(second.device->user().pin({.iova = 0x1000, .size = 4096}, iommu::Access::read).error().code,
            EINVAL);
}

TEST_F(SeveralUsers, a_group_is_not_twice_in_one_container) {
  const auto first = world.open(device());
  const auto again = world.core->open_group(device().group).value();
  EXPECT_EQ(again->set_container(first.container).error().code, EBUSY);
}

TEST_F(SeveralUsers, all_are_asked_to_let_go) {
  auto first = world.open(device());
  auto second = world.open(device());
  const Ending ending(device().registration);
  world.host.run();
  EXPECT_FALSE(ending.ended());
  first = {};
  world.host.run();
  EXPECT_FALSE(ending.ended());
  second = {};
  world.host.run();
  EXPECT_TRUE(ending.ended());
}

TEST_F(SeveralUsers, all_are_cut_off_by_force) {
  const auto first = world.open(device());
  const auto second = world.open(device());
  const Ending ending(device().registration, RemovePolicy::force);
  world.host.advance(std::chrono::seconds(6));
  EXPECT_TRUE(ending.ended());
  EXPECT_EQ(script->count("close"), 2U);
  EXPECT_EQ(first.group->container(), nullptr);
  EXPECT_EQ(second.group->container(), nullptr);
}

TEST_F(SeveralUsers, a_device_that_says_nothing_has_one) {
  const auto alone = world.add_device("alone");
  const auto first = world.open(alone);
  EXPECT_EQ(world.core->open_group(alone.group).error().code, EBUSY);
}

}  // namespace
}  // namespace umdev::vfio
