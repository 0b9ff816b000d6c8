#include "umdev/iommu/no_iommu.h"

#include <gtest/gtest.h>

#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

TEST(NoIommu, C15_claims_only_its_own_type) {
  NoIommuDriver driver;
  for (std::uint32_t extension = 0; extension != 16; ++extension) {
    EXPECT_EQ(driver.check_extension(extension), extension == 8 ? 1 : 0) << extension;
    if (extension != 8) {
      EXPECT_EQ(error_of(driver.open(extension)), EINVAL) << extension;
    }
  }
  EXPECT_TRUE(driver.no_iommu());
  EXPECT_EQ(driver.registers_devices(), driver.unregisters_devices());
}

TEST(NoIommu, D46_takes_groups_and_answers_enotty_to_the_rest) {
  NoIommuDriver driver;
  const auto opened = driver.open(8);
  ASSERT_TRUE(opened.has_value());
  IommuInstance& instance = **opened;
  EXPECT_EQ(instance.check_extension(8), 1);
  EXPECT_EQ(instance.check_extension(1), 0);
  EXPECT_EQ(error_of(instance.attach_group({.iommu_group = 1, .emulated = false})), 0);
  EXPECT_EQ(error_of(instance.info()), ENOTTY);
  EXPECT_EQ(error_of(instance.map({.flags = 3, .size = page, .backing = nullptr})), ENOTTY);
  Outcome<std::uint64_t> unmapped;
  instance.unmap({.size = page}, unmapped.done());
  EXPECT_EQ(unmapped.error(), ENOTTY);
  FakeDmaUser user;
  instance.register_user(user);
  EXPECT_EQ(error_of(instance.pin(user, {0, page}, Access::read)), ENOTTY);
  std::byte byte{};
  Outcome<> read;
  instance.dma_read(user, 0, {&byte, 1}, read.done());
  EXPECT_EQ(read.error(), ENOTTY);
  Outcome<> written;
  instance.dma_write(user, 0, {&byte, 1}, written.done());
  EXPECT_EQ(written.error(), ENOTTY);
  instance.unregister_user(user);
  instance.detach_group({.iommu_group = 1, .emulated = false});
}

}  // namespace
}  // namespace umdev::iommu
