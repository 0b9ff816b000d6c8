// The fakes that other tests trust.
#include <gtest/gtest.h>

#include "tests/support/fake_iommu_driver.h"
#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

using test::FakeIommuDriver;

TEST(FakeIommuDriver, C2_keeps_the_calls_in_their_order) {
  FakeIommuDriver driver;
  {
    const auto instance = *driver.open(3);
    EXPECT_TRUE(instance->attach_group({.iommu_group = 7}));
    EXPECT_TRUE(instance->map({.iova = 0x1000, .size = 0x2000, .backing = nullptr}));
    Outcome<std::uint64_t> unmapped;
    instance->unmap({.iova = 0x1000, .size = 0x2000}, unmapped.done());
    EXPECT_EQ(unmapped.value(), 0x2000U);
    EXPECT_TRUE(instance->info());
    FakeDmaUser user;
    instance->register_user(user);
    instance->unregister_user(user);
    instance->detach_group({.iommu_group = 7});
  }
  EXPECT_EQ(driver.calls().all(),
            (std::vector<std::string>{"open 3", "attach 7", "map 0x1000 0x2000", "unmap 0x1000 0x2000",
                                      "info", "register", "unregister", "detach 7", "release"}));
}

TEST(FakeIommuDriver, fails_on_demand_and_as_often_as_asked) {
  FakeIommuDriver driver;
  driver.calls().fail("open", EPERM);
  EXPECT_EQ(error_of(driver.open(3)), EPERM);
  const auto instance = *driver.open(3);
  driver.calls().fail("attach 8", EBUSY, 2);
  EXPECT_EQ(error_of(instance->attach_group({.iommu_group = 7})), 0);
  EXPECT_EQ(error_of(instance->attach_group({.iommu_group = 8})), EBUSY);
  EXPECT_EQ(error_of(instance->attach_group({.iommu_group = 8})), EBUSY);
  EXPECT_EQ(error_of(instance->attach_group({.iommu_group = 8})), 0);
  driver.calls().fail("unmap", EIO);
  Outcome<std::uint64_t> unmapped;
  instance->unmap({.size = page}, unmapped.done());
  EXPECT_EQ(unmapped.error(), EIO);
  EXPECT_EQ(driver.calls().count("attach 8"), 3U);
  driver.calls().clear();
  EXPECT_TRUE(driver.calls().all().empty());
}

TEST(FakeIommuDriver, D46_a_back_end_without_pins_is_enotty_and_one_with_pins_pins) {
  FakeDmaUser user;
  std::byte byte{};
  FakeIommuDriver without;
  const auto plain = *without.open(3);
  EXPECT_EQ(error_of(plain->pin(user, {0, 1}, Access::read)), ENOTTY);
  Outcome<> refused;
  plain->dma_read(user, 0, {&byte, 1}, refused.done());
  EXPECT_EQ(refused.error(), ENOTTY);

  FakeIommuDriver with({.pins = true});
  const auto pinning = *with.open(3);
  {
    const Result<DmaPin> held = pinning->pin(user, {0x1000, 16}, Access::read);
    ASSERT_TRUE(held.has_value());
    EXPECT_EQ(held->segments()[0].length, 16U);
    EXPECT_EQ(with.calls().count("unpin 0x1000 0x10"), 0U);
  }
  EXPECT_EQ(with.calls().count("unpin 0x1000 0x10"), 1U);
  Outcome<> written;
  pinning->dma_write(user, 0x20, {&byte, 1}, written.done());
  EXPECT_TRUE(written.succeeded());
  EXPECT_EQ(with.calls().count("dma_write 0x20 0x1"), 1U);
}

TEST(FakeIommuDriver, says_what_it_is_told_to_say) {
  FakeIommuDriver driver({.name = "odd", .extensions = {42}, .no_iommu = true, .unregisters_devices = false});
  EXPECT_EQ(driver.name(), "odd");
  EXPECT_EQ(driver.check_extension(42), 1);
  EXPECT_EQ(driver.check_extension(3), 0);
  EXPECT_EQ((*driver.open(42))->check_extension(42), 1);
  EXPECT_TRUE(driver.no_iommu());
  EXPECT_TRUE(driver.registers_devices());
  EXPECT_FALSE(driver.unregisters_devices());
}

TEST(FakeBacking, memory_is_zeroed_where_it_is_revoked) {
  MemoryBacking memory(3 * page);
  fill(memory.bytes(), 1);
  memory.revoke(page, page);
  EXPECT_EQ(memory.bytes()[page - 1], std::byte{1});
  EXPECT_EQ(memory.bytes()[page], std::byte{0});
  EXPECT_EQ(memory.bytes()[2 * page - 1], std::byte{0});
  EXPECT_EQ(memory.bytes()[2 * page], std::byte{1});
  EXPECT_TRUE(memory.intact());
  memory.go_bad();
  EXPECT_FALSE(memory.intact());
}

TEST(FakeBacking, messages_are_answered_when_the_test_says_so) {
  Outcome<> dropped;
  {
    MessageBacking messages(page);
    std::vector<std::byte> bytes(4, std::byte{3});
    Outcome<> written;
    Outcome<> read;
    Outcome<> beyond;
    messages.write(0, bytes, written.done());
    EXPECT_FALSE(written.is_done());
    EXPECT_TRUE(messages.answer());
    EXPECT_TRUE(written.succeeded());
    EXPECT_EQ(messages.bytes()[3], std::byte{3});
    EXPECT_FALSE(messages.answer());
    messages.answer_at_once();
    messages.read(2, Bytes(bytes), read.done());
    EXPECT_TRUE(read.succeeded());
    EXPECT_EQ(bytes[2], std::byte{0});
    messages.read(page - 1, Bytes(bytes), beyond.done());
    EXPECT_EQ(beyond.error(), EFAULT);
  }
  {
    MessageBacking messages(page);
    messages.read(0, {}, dropped.done());
    EXPECT_EQ(messages.pending(), 1U);
  }
  EXPECT_EQ(dropped.error(), ECANCELED);
}

}  // namespace
}  // namespace umdev::iommu
