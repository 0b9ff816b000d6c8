// Mediated devices of different physical devices, by different vendors, in one container.
#include <gtest/gtest.h>

#include "drivers/mtty/parent.h"
#include "drivers/null/parent.h"
#include "tests/support/mdev_world.h"
#include "umdev/os/event_fd.h"

namespace umdev::conformance {
namespace {

using test::MdevWorld;

class TwoVendors : public testing::Test {
 public:
  TwoVendors() {
    EXPECT_EQ(world.create("mtty", "mtty-2", serial_uuid), 0);
    EXPECT_EQ(world.create("null", "null-1", null_uuid), 0);
    serial_group = world.open_group(serial_uuid);
    null_group = world.open_group(null_uuid);
    EXPECT_TRUE(serial_group->set_container(container));
    EXPECT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
    EXPECT_TRUE(null_group->set_container(container));
    serial = MdevWorld::get_device(*serial_group, serial_uuid.to_string()).value();
    null = MdevWorld::get_device(*null_group, null_uuid.to_string()).value();
  }

  MdevWorld world;
  Registration mtty_parent =
      world.register_parent("mtty", mtty::MttyParent::spec(), std::make_unique<mtty::MttyParent>());
  Registration null_parent =
      world.register_parent("null", null::NullParent::spec(), std::make_unique<null::NullParent>());
  const Uuid serial_uuid = MdevWorld::uuid(1);
  const Uuid null_uuid = MdevWorld::uuid(2);
  std::shared_ptr<vfio::Container> container = world.core->open_container();
  std::shared_ptr<vfio::GroupFile> serial_group, null_group;
  std::shared_ptr<vfio::DeviceFile> serial, null;
};

TEST_F(TwoVendors, D44_both_devices_work_in_one_container) {
  EXPECT_NE(serial_group->group().iommu_group().number(), null_group->group().iommu_group().number());
  EXPECT_EQ(serial->container(), null->container());
  constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
  const auto id = [](vfio::DeviceFile& file) {
    return load_le<std::uint32_t>(test::read_file(file, config, 0, 4).value(), 0).value();
  };
  EXPECT_EQ(id(*serial), 0x32534348U);
  EXPECT_EQ(id(*null), 0x6e751234U);
  ASSERT_TRUE(test::write_file(*serial, 1, 0, bytes_of(std::uint8_t{'x'})));
  ASSERT_TRUE(test::write_file(*null, 0, 0, bytes_of(std::uint8_t{'y'})));
  EXPECT_EQ(test::read_file(*serial, 1, 0, 1).value()[0], std::byte{'x'});
  EXPECT_EQ(test::read_file(*null, 0, 0, 1).value()[0], std::byte{0});
}

TEST_F(TwoVendors, D44_each_has_interrupts_of_its_own) {
  const auto listen = [](vfio::DeviceFile& file, os::EventFd& event) {
    std::vector<os::UniqueFd> eventfds;
    eventfds.push_back(event.dup().value());
    vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                             .index = abi::vfio_pci_req_irq_index,
                             .count = 1,
                             .eventfds = eventfds};
    EXPECT_TRUE(file.set_irqs(request));
  };
  os::EventFd of_serial = os::EventFd::create().value();
  os::EventFd of_null = os::EventFd::create().value();
  listen(*serial, of_serial);
  listen(*null, of_null);
  test::Outcome<> removed;
  world.bus->remove(null_uuid, RemovePolicy::wait, removed.done());
  world.host.run();
  EXPECT_EQ(of_null.take(), 1U);
  EXPECT_EQ(of_serial.take(), 0U);
  null.reset();
  null_group.reset();
  world.host.run();
  EXPECT_TRUE(removed.succeeded());
  EXPECT_TRUE(test::read_file(*serial, 0, 7, 1)) << "the other vendor's goes on";
}

TEST_F(TwoVendors, D44_one_parent_may_go_while_the_other_stays) {
  null.reset();
  null_group.reset();
  test::Outcome<> gone;
  null_parent.unregister(RemovePolicy::wait, gone.done());
  world.host.run();
  EXPECT_TRUE(gone.succeeded());
  EXPECT_TRUE(test::read_file(*serial, 0, 7, 1));
  EXPECT_EQ(world.create("null", "null-1", MdevWorld::uuid(3)), ENODEV);
  EXPECT_EQ(world.create("mtty", "mtty-1", MdevWorld::uuid(3)), 0);
}

}  // namespace
}  // namespace umdev::conformance
