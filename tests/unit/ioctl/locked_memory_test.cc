#include "umdev/ioctl/locked_memory.h"

#include <gtest/gtest.h>

#include "tests/support/fake_backing.h"
#include "tests/support/fake_caller.h"
#include "tests/support/outcome.h"

namespace umdev::ioctl {
namespace {

using test::error_of;

TEST(LockedMemory, counts_for_as_long_as_a_charge_lives) {
  auto memory = std::make_shared<LockedMemory>();
  const Credentials credentials{.memlock_limit = 8192};
  {
    const auto charge = memory->charge(8192, credentials);
    ASSERT_TRUE(charge);
    EXPECT_EQ(memory->bytes(), 8192U);
    EXPECT_EQ(error_of(memory->charge(1, credentials)), ENOMEM);
  }
  EXPECT_EQ(memory->bytes(), 0U);
  EXPECT_TRUE(memory->charge(8192, credentials));
}

TEST(LockedMemory, cap_ipc_lock_may_pass_the_limit) {
  auto memory = std::make_shared<LockedMemory>();
  EXPECT_TRUE(memory->charge(1 << 20, {.ipc_lock = true, .memlock_limit = 0}));
  EXPECT_EQ(error_of(memory->charge(UINT64_MAX, {.memlock_limit = 4096})), ENOMEM) << "no sum wraps";
}

TEST(LockedMemory, a_charged_backing_gives_back_when_the_last_mapping_goes) {
  auto memory = std::make_shared<LockedMemory>();
  auto backing = std::make_shared<test::MemoryBacking>(4096);
  auto held = charged(backing, memory->charge(4096, {}).value());
  EXPECT_EQ(held->mapped().data(), backing->mapped().data());
  EXPECT_EQ(memory->bytes(), 4096U);
  held.reset();
  EXPECT_EQ(memory->bytes(), 0U);
}

TEST(LockedMemory, a_charged_backing_is_in_all_else_the_one_that_is_charged_for) {
  auto memory = std::make_shared<LockedMemory>();
  auto plain = std::make_shared<test::MemoryBacking>(4096, 7, 8192);
  auto held = charged(plain, memory->charge(4096, {}).value());
  EXPECT_EQ(held->mapped_size(), 4096U);
  EXPECT_EQ(held->fd(), 7);
  EXPECT_EQ(held->fd_offset(), 8192U);
  EXPECT_FALSE(held->copies_at_once());
  held->revoke(1, 2);
  EXPECT_EQ(plain->revoked(), std::vector({test::BackingSlice{1, 2}}));
  EXPECT_TRUE(held->intact());
  plain->go_bad();
  EXPECT_FALSE(held->intact());
}

TEST(LockedMemory, a_charged_backing_copies_as_the_one_that_is_charged_for) {
  auto memory = std::make_shared<LockedMemory>();
  auto messages = std::make_shared<test::MessageBacking>(4096);
  auto held = charged(messages, memory->charge(4096, {}).value());
  messages->answer_at_once();
  EXPECT_TRUE(held->copies_at_once());
  std::array<std::byte, 2> bytes{std::byte{1}, std::byte{2}};
  Result<> written = fail(EIO, "no answer");
  held->write(5, bytes, [&](Result<> result) { written = result; });
  EXPECT_TRUE(written);
  std::array<std::byte, 2> read{};
  held->read(5, read, [&](Result<> result) { written = result; });
  EXPECT_TRUE(written);
  EXPECT_EQ(read, bytes);
}

TEST(FakeCaller, answers_efault_outside_of_its_memory_and_for_writes_of_read_only_memory) {
  test::FakeCaller caller;
  caller.add_memory(0x1000, 4096);
  caller.add_memory(0x3000, 4096, /*writable=*/false);
  std::array<std::byte, 8> bytes{};
  EXPECT_TRUE(caller.read(0x1ff8, bytes));
  EXPECT_EQ(error_of(caller.read(0x1ff9, bytes)), EFAULT);
  EXPECT_TRUE(caller.read(0x3000, bytes));
  EXPECT_EQ(error_of(caller.write(0x3000, bytes)), EFAULT);
  EXPECT_EQ(error_of(caller.memory(
                {.address = 0x3000, .size = 4096, .access = iommu::Access::write, .must_be_there = true})),
            EFAULT);
}

}  // namespace
}  // namespace umdev::ioctl
