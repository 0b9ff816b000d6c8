// The DMA engine as a parent of mediated devices.
#include "drivers/ioat/parent.h"

#include <gtest/gtest.h>

#include "drivers/ioat/ioat.h"
#include "tests/support/mdev_world.h"
#include "tests/support/outcome.h"

namespace umdev::ioat {
namespace {

using test::error_of;
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

TEST(IoatParent, a_physical_function_takes_the_channels_of_its_virtual_ones_too) {
  MdevWorld world;
  Registration parent = world.register_parent("ioat", IoatParent::spec(15), std::make_unique<IoatParent>());
  EXPECT_EQ(world.create("ioat", "ioat-sriov", MdevWorld::uuid(1)), 0);
  EXPECT_EQ(world.create("ioat", "ioat-sriov", MdevWorld::uuid(2)), ENOSPC);
  EXPECT_EQ(world.tree.read("/class/mdev_bus/ioat/mdev_supported_types/ioat-1/available_instances").value(),
            "7\n");
  parent.unregister(RemovePolicy::force, [](Result<>) {});
  world.host.run();
}

TEST(IoatFunctions, a_virtual_one_is_an_engine_of_one_channel_with_msix_alone) {
  test::TestHost host;
  const auto physical = Ioat::create(1, host, Ioat::Kind::physical);
  EXPECT_EQ(physical->migration(), nullptr);
  EXPECT_EQ(physical->layout().sriov().total, 7);
  const auto made = physical->create_virtual_function(host).value();
  EXPECT_NE(made->migration(), nullptr);
  EXPECT_EQ(made->layout().sriov().total, 0);
  EXPECT_EQ(made->irq_info(abi::vfio_pci_intx_irq_index)->count, 0U);
  EXPECT_EQ(made->irq_info(abi::vfio_pci_msi_irq_index)->count, 0U);
  EXPECT_EQ(made->irq_info(abi::vfio_pci_msix_irq_index)->count, 4U);
  EXPECT_EQ(made->region_info(0)->size, physical->region_info(0)->size);
  EXPECT_EQ(error_of(Ioat::create(1, host)->create_virtual_function(host)), EOPNOTSUPP);
}

}  // namespace
}  // namespace umdev::ioat
