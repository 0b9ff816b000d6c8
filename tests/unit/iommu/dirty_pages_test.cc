// The dirty pages of a type1 container: VFIO_IOMMU_DIRTY_PAGES, and an unmap with a bitmap.
#include "umdev/iommu/dirty_pages.h"

#include <gtest/gtest.h>

#include "tests/unit/iommu/fixtures.h"
#include "umdev/abi/vfio.h"
#include "umdev/iommu/type1.h"
#include "umdev/iommu/write_tracker.h"

namespace umdev::iommu {
namespace {

constexpr std::uint32_t rw = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
constexpr std::uint32_t with_bitmap = abi::vfio_dma_unmap_flag_get_dirty_bitmap;

class TrackedUser final : public DmaUser {
 public:
  void dma_unmap(IovaRange) override {
    if (pin_to_drop) pin_to_drop->unpin();
  }
  void pins_revoked(IovaRange) override {}
  std::shared_ptr<WriteTracker> write_tracker() override { return tracker; }

  std::shared_ptr<WriteTracker> tracker = std::make_shared<WriteTracker>();
  DmaPin* pin_to_drop = nullptr;
};

class DirtyPagesTest : public testing::Test {
 public:
  DirtyPagesTest() {
    container->register_user(user);
    EXPECT_TRUE(container->map({rw, 0, 8 * page, 0, memory, 0}));
    EXPECT_TRUE(container->map({rw, 8 * page, 8 * page, 0, memory, 8 * page}));
  }
  ~DirtyPagesTest() override { container->unregister_user(user); }

  void write(Iova iova) {
    const std::byte byte{1};
    Outcome<> outcome;
    container->dma_write(user, iova, {&byte, 1}, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }
  DmaPin pin(Iova iova, std::uint64_t size, Access access = Access::write) {
    return user.tracker->hold(container->pin(user, {iova, size}, access).value());
  }
  int report_error(IovaRange range, std::uint64_t granule = page, std::size_t size = 8) {
    std::vector<std::byte> bitmap(size);
    return error_of(container->dirty_pages(range, granule, bitmap));
  }
  std::uint64_t dirty() {
    std::vector<std::byte> bitmap(8);
    EXPECT_TRUE(container->dirty_pages({0, 16 * page}, page, bitmap));
    return *load_le<std::uint64_t>(bitmap, 0);
  }
  int unmap_error(IovaRange range, std::uint64_t granule, Bytes bitmap) {
    Outcome<std::uint64_t> outcome;
    container->unmap({with_bitmap, range.iova, range.size, granule, bitmap}, outcome.done());
    return outcome.error();
  }

  test::ManualClock clock;
  Type1Driver driver{clock};
  std::shared_ptr<IommuInstance> container = driver.open(abi::vfio_type1v2_iommu).value();
  TrackedUser user;
  std::shared_ptr<MemoryBacking> memory = std::make_shared<MemoryBacking>(16 * page);
};

TEST_F(DirtyPagesTest, exactly_what_was_written_and_is_pinned_is_dirty) {
  const DmaPin before = pin(14 * page, page);
  const DmaPin reading = pin(12 * page, page, Access::read);
  write(0);
  ASSERT_TRUE(container->start_dirty_pages());
  EXPECT_EQ(dirty(), 1U << 14);
  write(page);
  EXPECT_EQ(dirty(), 1U << 14 | 1U << 1);
  EXPECT_EQ(dirty(), 1U << 14);
  {
    const DmaPin held = pin(7 * page, 2 * page);
    EXPECT_EQ(dirty(), 1U << 14 | 0b11U << 7);
    EXPECT_EQ(dirty(), 1U << 14 | 0b11U << 7);
  }
  EXPECT_EQ(dirty(), 1U << 14 | 0b11U << 7);
  EXPECT_EQ(dirty(), 1U << 14);
}

TEST_F(DirtyPagesTest, of_a_user_that_nobody_watches_all_of_a_pinned_mapping_is_dirty) {
  FakeDmaUser other;
  container->register_user(other);
  const DmaPin held = container->pin(other, {9 * page, page}, Access::write).value();
  ASSERT_TRUE(container->start_dirty_pages());
  EXPECT_EQ(dirty(), 0xff00U);
  container->unregister_user(other);
}

TEST_F(DirtyPagesTest, starting_and_stopping_twice_is_success_and_a_new_start_a_new_log) {
  EXPECT_EQ(report_error({0, 16 * page}), EINVAL) << "off";
  EXPECT_TRUE(container->stop_dirty_pages());
  EXPECT_TRUE(container->start_dirty_pages());
  write(0);
  EXPECT_TRUE(container->start_dirty_pages());
  EXPECT_EQ(dirty(), 1U);
  write(0);
  EXPECT_TRUE(container->stop_dirty_pages());
  EXPECT_TRUE(container->stop_dirty_pages());
  EXPECT_EQ(report_error({0, 16 * page}), EINVAL);
  write(page);
  EXPECT_TRUE(container->start_dirty_pages());
  EXPECT_EQ(dirty(), 0U);
}

TEST_F(DirtyPagesTest, v1_has_none) {
  const auto v1 = driver.open(abi::vfio_type1_iommu).value();
  std::vector<std::byte> bitmap(8);
  EXPECT_EQ(error_of(v1->start_dirty_pages()), EACCES);
  EXPECT_EQ(error_of(v1->stop_dirty_pages()), EACCES);
  EXPECT_EQ(error_of(v1->dirty_pages({0, page}, page, bitmap)), EACCES);
}

TEST_F(DirtyPagesTest, what_a_report_may_ask_is_checked) {
  ASSERT_TRUE(container->start_dirty_pages());
  struct Case {
    IovaRange range;
    std::uint64_t granule;
    std::size_t bitmap;
    int error;
  };
  const Case cases[] = {
      {{0, 16 * page}, page, 8, 0},
      {{0, 8 * page}, page, 8, 0},
      {{0, 64 * page}, page, 4096, 0},
      {{0, 0}, page, 8, EINVAL},
      {{UINT64_MAX - page + 1, 2 * page}, page, 8, EINVAL},
      {{0, 16 * page}, 2 * page, 8, EINVAL},
      {{0, 16 * page}, 0, 8, EINVAL},
      {{0, 16 * page}, page, 7, EINVAL},
      {{0, 16 * page}, page, 0, EINVAL},
      {{0, 65 * page}, page, 8, EINVAL},
      {{1, 16 * page}, page, 8, EINVAL},
      {{0, 16 * page - 1}, page, 8, EINVAL},
      {{page, 15 * page}, page, 8, EINVAL},
      {{0, 15 * page}, page, 8, EINVAL},
      {{4 * page, page}, page, 8, EINVAL},
      {{32 * page, page}, page, 8, 0},
  };
  for (const Case& c : cases)
    EXPECT_EQ(report_error(c.range, c.granule, c.bitmap), c.error) << c.range.iova << "+" << c.range.size;
}

TEST_F(DirtyPagesTest, an_unmap_tells_what_was_dirty_down_to_its_last_pin) {
  std::vector<std::byte> bitmap(8);
  EXPECT_EQ(unmap_error({0, 8 * page}, page, bitmap), EINVAL) << "off";
  ASSERT_TRUE(container->start_dirty_pages());
  EXPECT_EQ(unmap_error({0, 8 * page}, 2 * page, bitmap), EINVAL);
  EXPECT_EQ(unmap_error({0, 8 * page}, page, Bytes(bitmap).first(7)), EINVAL);
  EXPECT_EQ(unmap_error({0, 4 * page}, page, bitmap), EINVAL) << "it would cut";
  write(3 * page);
  DmaPin held = pin(5 * page, page);
  (void)dirty();
  write(2 * page);
  user.pin_to_drop = &held;
  EXPECT_EQ(unmap_error({0, 8 * page}, page, bitmap), 0);
  EXPECT_EQ(*load_le<std::uint64_t>(bitmap, 0), 1U << 2 | 1U << 5);
}

TEST_F(DirtyPagesTest, a_new_mapping_begins_clean) {
  ASSERT_TRUE(container->start_dirty_pages());
  write(0);
  Outcome<std::uint64_t> unmapped;
  container->unmap({0, 0, 8 * page}, unmapped.done());
  ASSERT_TRUE(unmapped.succeeded());
  ASSERT_TRUE(container->map({rw, 0, 8 * page, 0, memory, 0}));
  EXPECT_EQ(dirty(), 0U);
  write(0);
  EXPECT_EQ(error_of(container->map({rw, 0, 8 * page, 0, memory, 0})), EEXIST);
  EXPECT_EQ(dirty(), 1U) << "a refused mapping forgets nothing";
}

TEST_F(DirtyPagesTest, the_container_says_what_it_can) {
  EXPECT_EQ(container->info()->dirty_page_sizes, page);
  EXPECT_EQ(container->info()->dirty_bitmap_max, 256U << 20);
}

}  // namespace
}  // namespace umdev::iommu
