#include "tests/support/fake_user.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/outcome.h"

namespace umdev::test {
namespace {

TEST(FakeUser, pins_point_into_the_memory_that_was_mapped) {
  FakeUser user;
  const Bytes memory = user.map(0x10000, 8192);
  auto pin = user.pin({0x11000, 4096}, iommu::Access::write);
  ASSERT_TRUE(pin);
  ASSERT_EQ(pin->segments().size(), 1U);
  EXPECT_EQ(pin->segments()[0].data, memory.data() + 4096);
  EXPECT_EQ(pin->segments()[0].length, 4096U);
  EXPECT_EQ(user.pin_count(), 1U);
  pin->unpin();
  EXPECT_EQ(user.pin_count(), 0U);
}

TEST(FakeUser, refuses_pins_as_the_core_does) {
  FakeUser user;
  user.map(0x10000, 0x400000, iommu::Access::read);
  EXPECT_EQ(error_of(user.pin({0xf000, 4096}, iommu::Access::read)), EINVAL);
  EXPECT_EQ(error_of(user.pin({0x40f000, 8192}, iommu::Access::read)), EINVAL);
  EXPECT_EQ(error_of(user.pin({0x10000, 0}, iommu::Access::read)), EINVAL);
  EXPECT_EQ(error_of(user.pin({UINT64_MAX, 2}, iommu::Access::read)), EINVAL);
  EXPECT_EQ(error_of(user.pin({0x10000, 4096}, iommu::Access::read_write)), EPERM);
  EXPECT_EQ(error_of(user.pin({0x10000, 513ULL * 4096}, iommu::Access::read)), E2BIG);
}

TEST(FakeUser, dma_copies_at_once) {
  FakeUser user;
  const Bytes memory = user.map(0, 4096);
  memory[5] = std::byte{42};
  std::array<std::byte, 2> into{};
  Outcome<> read;
  user.dma_read(4, into, read.done());
  EXPECT_TRUE(read.succeeded());
  EXPECT_EQ(into[1], std::byte{42});
  Outcome<> write;
  user.dma_write(7, into, write.done());
  EXPECT_TRUE(write.succeeded());
  EXPECT_EQ(memory[8], std::byte{42});
  Outcome<> outside;
  user.dma_read(4095, into, outside.done());
  EXPECT_EQ(outside.error(), EINVAL);
}

TEST(FakeUser, memory_by_message_refuses_pins_and_copies_later) {
  FakeUser user;
  user.map(0, 4096)[0] = std::byte{42};
  user.use_messages();
  EXPECT_EQ(error_of(user.pin({0, 4096}, iommu::Access::read)), EOPNOTSUPP);
  std::array<std::byte, 1> into{};
  Outcome<> read;
  user.dma_read(0, into, read.done());
  EXPECT_FALSE(read.is_done());
  EXPECT_EQ(user.run_dma(), 1U);
  EXPECT_TRUE(read.succeeded());
  EXPECT_EQ(into[0], std::byte{42});
}

TEST(FakeUser, unmapped_memory_is_gone) {
  FakeUser user;
  user.map(0, 4096);
  user.unmap(0);
  EXPECT_EQ(error_of(user.pin({0, 4096}, iommu::Access::read)), EINVAL);
}

TEST(FakeUser, hears_interrupts_through_real_eventfds) {
  FakeUser user({{abi::vfio_irq_info_eventfd, 2}});
  EXPECT_EQ(user.irq().take(0, 1), 0U) << "nobody listens yet";
  ASSERT_TRUE(user.irq().listen(0, 0, 2));
  user.irqs().raise(0, 1);
  EXPECT_EQ(user.irq().take(0, 0), 0U);
  EXPECT_EQ(user.irq().take(0, 1), 1U);
  EXPECT_EQ(user.irq().take(0, 1), 0U);
}

TEST(FakeUser, has_an_id_of_its_own) {
  const FakeUser one;
  const FakeUser two;
  EXPECT_NE(one.id(), two.id());
}

TEST(FakeUserDeathTest, notices_pins_that_a_device_forgot) {
  EXPECT_DEATH(
      {
        auto user = std::make_unique<FakeUser>();
        user->map(0, 4096);
        const auto pin = user->pin({0, 4096}, iommu::Access::read);
        user.reset();
      },
      "did not drop its pins");
}

}  // namespace
}  // namespace umdev::test
