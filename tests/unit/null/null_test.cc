#include "drivers/null/null.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "drivers/null/parent.h"
#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/mdev_world.h"

namespace umdev::null {
namespace {

TEST(Null, memory_reads_zero_and_forgets_what_is_written) {
  Null device(Null::make_model());
  test::FakeUser user(device);
  ASSERT_TRUE(test::write_register<std::uint64_t>(device, user, 0, 8, ~0ULL));
  const auto bytes = test::read_bytes(device, user, 0, 0, 4096).value();
  EXPECT_EQ(bytes, std::vector<std::byte>(4096));
}

TEST(Null, has_one_page_of_memory_and_no_interrupt_but_the_request) {
  const Null device(Null::make_model());
  for (std::uint32_t index = 0; index < 7; ++index)
    EXPECT_EQ(device.region_info(index)->size, index == 0 ? 4096U : 0U) << index;
  for (const std::uint32_t index : {0U, 1U, 2U}) EXPECT_EQ(device.irq_info(index)->count, 0U) << index;
  EXPECT_EQ(device.irq_info(abi::vfio_pci_req_irq_index)->count, 1U);
}

TEST(Null, instances_share_what_does_not_change) {
  const pci::ModelRef model = Null::make_model();
  const long alone = model.use_count();
  const Null first(model);
  const Null second(model);
  EXPECT_EQ(model.use_count(), alone + 2);
  EXPECT_LE(sizeof(Null), 256U) << "there may be 65,536 of them";
}

TEST(NullParent, allows_as_many_instances_as_it_was_told) {
  test::MdevWorld world;
  const Registration parent =
      world.register_parent("null", NullParent::spec(2), std::make_unique<NullParent>());
  const std::string type = "/devices/virtual/null/null/mdev_supported_types/null-1/";
  EXPECT_EQ(world.tree.read(type + "available_instances").value(), "2\n");
  EXPECT_EQ(world.tree.read(type + "device_api").value(), "vfio-pci\n");
  EXPECT_EQ(world.create("null", "null-1", test::MdevWorld::uuid(1)), 0);
  EXPECT_EQ(world.create("null", "null-1", test::MdevWorld::uuid(2)), 0);
  EXPECT_EQ(world.create("null", "null-1", test::MdevWorld::uuid(3)), ENOSPC);
}

}  // namespace
}  // namespace umdev::null
