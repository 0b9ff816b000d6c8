// The DMA engine as a parent of mediated devices.
#include "drivers/ioat/parent.h"

#include <gtest/gtest.h>

#include "tests/support/mdev_world.h"

namespace umdev::ioat {
namespace {

using test::MdevWorld;

TEST(IoatParent, offers_engines_of_one_and_of_four_channels_out_of_one_pool) {
  MdevWorld world;
  Registration parent = world.register_parent("ioat", IoatParent::spec(6), std::make_unique<IoatParent>());
  EXPECT_EQ(world.tree.read("/class/mdev_bus/ioat/mdev_supported_types/ioat-1/available_instances").value(),
            "6\n");
  EXPECT_EQ(world.tree.read("/class/mdev_bus/ioat/mdev_supported_types/ioat-4/device_api").value(),
            "vfio-pci\n");
  EXPECT_EQ(world.create("ioat", "ioat-4", MdevWorld::uuid(1)), 0);
  EXPECT_EQ(world.create("ioat", "ioat-4", MdevWorld::uuid(2)), ENOSPC);
  EXPECT_EQ(world.create("ioat", "ioat-1", MdevWorld::uuid(2)), 0);
  EXPECT_EQ(world.tree.read("/class/mdev_bus/ioat/mdev_supported_types/ioat-1/available_instances").value(),
            "1\n");
  for (const auto& [number, channels] : {std::pair(1U, 4), std::pair(2U, 1)}) {
    auto session = world.open_instance(MdevWorld::uuid(number));
    EXPECT_EQ(std::to_integer<int>(test::read_file(*session.device, 0, 0, 1).value()[0]), channels);
    session = {};
    world.host.run();
  }
  parent.unregister(RemovePolicy::force, [](Result<>) {});
  world.host.run();
}

}  // namespace
}  // namespace umdev::ioat
