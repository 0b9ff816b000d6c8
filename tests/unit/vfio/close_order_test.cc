// Containers, groups and devices may be closed in any order (row C4): all orders, with and without mappings,
// pins and duplicated descriptors, leave nothing behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <ranges>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;

struct Variant {
  bool mapping;
  bool pin;
  bool duplicates;  // every descriptor is duplicated, and the copies are closed after, in reverse order
};

class CloseOrder : public testing::TestWithParam<Variant> {};

TEST_P(CloseOrder, C4_every_order_gives_everything_back) {
  const Variant variant = GetParam();
  std::array<int, 3> order{0, 1, 2};
  do {
    CoreWorld world;
    auto device = world.add_device("a");
    auto memory = std::make_shared<test::MemoryBacking>(iommu::page_size);
    const std::weak_ptr<void> memory_lives = memory;
    auto session = world.open(device);
    std::weak_ptr<Container> container = session.container;
    std::weak_ptr<iommu::IommuInstance> instance = session.container->iommu().value();
    if (variant.mapping) {
      ASSERT_TRUE(instance.lock()->map({.flags = 3, .iova = 0, .size = iommu::page_size, .backing = memory}));
    }
    memory.reset();
    iommu::DmaPin pin;
    if (variant.pin) pin = device.script->user->pin({0, 64}, iommu::Access::read).value();

    CoreWorld::Session copy;
    if (variant.duplicates) copy = session;
    const auto close = [](CoreWorld::Session& files, int which) {
      if (which == 0) files.container.reset();
      if (which == 1) files.group.reset();
      if (which == 2) files.device.reset();
    };
    for (const int which : order) close(session, which);
    if (variant.duplicates) {
      EXPECT_EQ(device.script->count("close"), 0U) << "a copy keeps each of them open";
      EXPECT_FALSE(instance.expired());
      for (const int which : order | std::views::reverse) close(copy, which);
    }

    EXPECT_EQ(device.script->count("close"), 1U);
    EXPECT_TRUE(container.expired());
    pin.unpin();
    EXPECT_TRUE(instance.expired()) << "the back end was released";
    EXPECT_TRUE(memory_lives.expired());
    EXPECT_EQ(device.device->reference_count(), 0U);
    EXPECT_FALSE(world.core->iommu_group_of(device.parent)->claimed());
    EXPECT_TRUE(world.core->open_group(device.group)) << "and it can all begin again";
  } while (std::ranges::next_permutation(order).found);
}

INSTANTIATE_TEST_SUITE_P(All, CloseOrder,
                         testing::Values(Variant{false, false, false}, Variant{true, false, false},
                                         Variant{true, true, false}, Variant{false, false, true},
                                         Variant{true, false, true}, Variant{true, true, true}));

}  // namespace
}  // namespace umdev::vfio
