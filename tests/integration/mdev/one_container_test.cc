// Several mediated devices in one container, as in one virtual machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/mtty/parent.h"
#include "drivers/null/parent.h"
#include "tests/support/fake_backing.h"
#include "tests/support/mdev_world.h"

namespace umdev {
namespace {

using test::MdevWorld;

constexpr iommu::Iova ram = 0x100000;
constexpr std::uint64_t ram_size = 0x10000;

class OneContainer : public testing::Test {
 public:
  struct Card {
    std::shared_ptr<vfio::GroupFile> group;
    std::shared_ptr<vfio::DeviceFile> device;
  };

  void create(const std::string& parent, const std::string& type, unsigned n) {
    ASSERT_EQ(world.create(parent, type, MdevWorld::uuid(n)), 0);
  }
  // Every group joins the container first, as VMMs do; then it gets its IOMMU driver and the one mapping.
  void open(const std::vector<unsigned>& instances) {
    for (const unsigned n : instances) {
      Card card{.group = world.open_group(MdevWorld::uuid(n)), .device = {}};
      ASSERT_TRUE(card.group->set_container(container));
      cards.push_back(std::move(card));
    }
    ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
    ASSERT_TRUE(
        container->iommu().value()->map({.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                                         .iova = ram,
                                         .size = ram_size,
                                         .vaddr = 0x7f0000000000,
                                         .backing = memory,
                                         .backing_offset = 0}));
    for (std::size_t index = 0; index < instances.size(); ++index) {
      auto device = MdevWorld::get_device(*cards[index].group, MdevWorld::uuid(instances[index]).to_string());
      ASSERT_TRUE(device.has_value());
      cards[index].device = std::move(*device);
    }
  }
  // What one device's DMA would find at the beginning of the memory; its errno negated where it fails.
  static int dma_read(const Card& card) {
    std::byte byte{};
    test::Outcome<> read;
    card.device->user().dma_read(ram, std::span(&byte, 1), read.done());
    return read.succeeded() ? std::to_integer<int>(byte) : -read.error();
  }
  static int dma_write(const Card& card, std::byte value) {
    test::Outcome<> written;
    card.device->user().dma_write(ram, std::span(&value, 1), written.done());
    return written.error();
  }
  void expect_all_see(int value) {
    for (const Card& card : cards) EXPECT_EQ(dma_read(card), value);
  }
  // Vendor and device of configuration space: that the device itself answers.
  static std::uint32_t identity(const Card& card) {
    const auto bytes = test::read_file(*card.device, abi::vfio_pci_config_region_index, 0, 4);
    return bytes ? *load_le<std::uint32_t>(*bytes, 0) : 0;
  }

  MdevWorld world;
  Registration mtty =
      world.register_parent("mtty", mtty::MttyParent::spec(), std::make_unique<mtty::MttyParent>());
  Registration null =
      world.register_parent("null", null::NullParent::spec(), std::make_unique<null::NullParent>());
  std::shared_ptr<test::MemoryBacking> memory = std::make_shared<test::MemoryBacking>(ram_size);
  std::shared_ptr<vfio::Container> container = world.core->open_container();
  std::vector<Card> cards;
};

TEST_F(OneContainer, D43_mdevs_of_two_types_share_one_dma_map) {
  create("mtty", "mtty-1", 1);
  create("mtty", "mtty-2", 2);
  create("mtty", "mtty-1", 3);
  open({1, 2, 3});
  EXPECT_EQ(container->group_count(), 3U);
  EXPECT_EQ(container->iommu().value()->mapping_count(), 1U) << "one mapping serves them all";
  memory->bytes()[0] = std::byte{0x11};
  expect_all_see(0x11);
  EXPECT_EQ(dma_write(cards[1], std::byte{0x22}), 0);
  expect_all_see(0x22);
  for (const Card& card : cards) EXPECT_EQ(identity(card), identity(cards[0]));
  EXPECT_NE(identity(cards[0]), 0U);
  test::Outcome<std::uint64_t> unmapped;
  container->iommu().value()->unmap({.flags = 0, .iova = ram, .size = ram_size}, unmapped.done());
  EXPECT_EQ(unmapped.value(), ram_size);
  expect_all_see(-EINVAL);
}

TEST_F(OneContainer, D44_mdevs_of_different_physical_devices) {
  create("mtty", "mtty-1", 1);
  create("null", "null-1", 2);
  open({1, 2});
  EXPECT_NE(identity(cards[0]), identity(cards[1]));
  EXPECT_NE(identity(cards[0]), 0U);
  EXPECT_NE(identity(cards[1]), 0U);
  EXPECT_EQ(dma_write(cards[0], std::byte{0x33}), 0);
  expect_all_see(0x33);
}

TEST_F(OneContainer, D42_D44_one_of_them_leaves_and_the_other_goes_on) {
  create("mtty", "mtty-1", 1);
  create("null", "null-1", 2);
  open({1, 2});
  test::Outcome<> removed;
  world.bus->remove(MdevWorld::uuid(1), RemovePolicy::wait, removed.done());
  cards.erase(cards.begin());
  world.host.run();
  EXPECT_TRUE(removed.succeeded());
  EXPECT_EQ(container->group_count(), 1U);
  EXPECT_EQ(container->iommu().value()->mapping_count(), 1U) << "the memory is still the other's";
  memory->bytes()[0] = std::byte{0x44};
  expect_all_see(0x44);
  EXPECT_NE(identity(cards[0]), 0U);
}

TEST_F(OneContainer, D43_a_device_is_plugged_into_a_container_that_runs) {
  create("mtty", "mtty-1", 1);
  open({1});
  create("null", "null-1", 2);
  Card late{.group = world.open_group(MdevWorld::uuid(2)), .device = {}};
  ASSERT_TRUE(late.group->set_container(container));
  late.device = MdevWorld::get_device(*late.group, MdevWorld::uuid(2).to_string()).value();
  cards.push_back(std::move(late));
  memory->bytes()[0] = std::byte{0x55};
  expect_all_see(0x55);
}

TEST_F(OneContainer, D27_a_parents_forced_end_takes_only_its_own_devices) {
  create("mtty", "mtty-1", 1);
  create("null", "null-1", 2);
  open({1, 2});
  test::Outcome<> ended;
  mtty.unregister(RemovePolicy::force, ended.done());
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_TRUE(ended.succeeded());
  EXPECT_EQ(identity(cards[0]), 0U) << "taken away";
  EXPECT_NE(identity(cards[1]), 0U);
  memory->bytes()[0] = std::byte{0x66};
  EXPECT_EQ(dma_read(cards[1]), 0x66);
}

}  // namespace
}  // namespace umdev
