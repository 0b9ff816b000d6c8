// Memory that is asked for when it is used for the first time.
#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

// Tells when it is asked, and may have nothing to give.
class LateBacking final : public Backing {
 public:
  explicit LateBacking(std::size_t pages) : bytes_(pages * page) {}

  Bytes mapped() override {
    ++asked;
    if (when_asked) when_asked();
    return is_there ? Bytes(bytes_) : Bytes();
  }
  std::uint64_t mapped_size() override { return bytes_.size(); }
  void revoke(std::uint64_t offset, std::uint64_t size) override { revoked.push_back({offset, size}); }

  int asked = 0;
  bool is_there = true;
  std::function<void()> when_asked;
  std::vector<test::BackingSlice> revoked;

 private:
  std::vector<std::byte> bytes_;
};

class FirstUse : public SpaceTest {
 public:
  std::shared_ptr<LateBacking> late = std::make_shared<LateBacking>(4);
};

TEST_F(FirstUse, a_mapping_that_nobody_uses_is_never_asked_for) {
  ASSERT_EQ(map_on(late, 0, 4 * page), 0);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 4 * page);
  EXPECT_EQ(outcome.value(), 4 * page);
  EXPECT_EQ(late->asked, 0);
}

TEST_F(FirstUse, pins_reads_and_writes_ask_once_for_each_mapping) {
  ASSERT_EQ(map_on(late, 0, page), 0);
  ASSERT_EQ(map_on(late, 4 * page, page, Access::read_write, page), 0);
  const DmaPin first = pin(0, page);
  const DmaPin again = pin(100, 1);
  EXPECT_EQ(again.segments().front().data, first.segments().front().data + 100);
  EXPECT_EQ(late->asked, 1);
  EXPECT_EQ(write_error(4 * page, 8), 0);
  EXPECT_EQ(read_error(4 * page, 8), 0);
  EXPECT_EQ(pin(4 * page, page).segments().front().data, first.segments().front().data + page);
  EXPECT_EQ(late->asked, 2);
}

TEST_F(FirstUse, memory_that_cannot_be_had_is_efault_until_it_can) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(late, page, page), 0);
  late->is_there = false;
  EXPECT_EQ(pin_error(page, page), EFAULT);
  EXPECT_EQ(pin_error(0, 2 * page), EFAULT);
  EXPECT_EQ(read_error(page, 8), EFAULT);
  EXPECT_EQ(write_error(page - 4, 8), EFAULT);
  EXPECT_EQ(space->pin_count(), 0U);
  late->is_there = true;
  EXPECT_EQ(pin_error(0, 2 * page), 0);
  EXPECT_EQ(write_error(page - 4, 8), 0);
}

TEST_F(FirstUse, what_is_taken_back_while_it_is_asked_for_is_revoked) {
  ASSERT_EQ(map_on(late, 0, 2 * page, Access::read_write, page), 0);
  Outcome<std::uint64_t> outcome;
  late->when_asked = [&] {
    unmap(outcome, 0, 2 * page);
    clock.advance(limits.unmap_deadline);
  };
  const DmaPin taken = pin(0, page);
  EXPECT_EQ(outcome.value(), 2 * page);
  EXPECT_TRUE(taken.revoked());
  EXPECT_EQ(late->revoked, (std::vector<test::BackingSlice>{{page, 2 * page}}));
}

}  // namespace
}  // namespace umdev::iommu
