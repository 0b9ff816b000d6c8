#include "umdev/iommu/write_tracker.h"

#include <gtest/gtest.h>

#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

class WriteTrackerTest : public SpaceTest {
 public:
  WriteTrackerTest() { EXPECT_EQ(map(0, 16 * page), 0); }

  std::shared_ptr<DirtyLog> attach() {
    auto log = DirtyLog::create_for_everything();
    tracker->attach(log);
    return log;
  }
  // The pages that are dirty, as bits.
  static unsigned dirty(DirtyLog& log) {
    std::vector<std::byte> bitmap(8);
    EXPECT_TRUE(log.report({0, 16 * page}, page, bitmap));
    return static_cast<unsigned>(*load_le<std::uint64_t>(bitmap, 0));
  }
  DmaPin hold(Iova iova, std::uint64_t size, Access access = Access::write) {
    return tracker->hold(pin(iova, size, access));
  }

  std::shared_ptr<WriteTracker> tracker = std::make_shared<WriteTracker>();
};

TEST_F(WriteTrackerTest, a_write_is_heard_while_a_log_is_attached) {
  tracker->wrote({0, page});
  const auto log = attach();
  tracker->wrote({page, 1});
  EXPECT_EQ(dirty(*log), 0b10U);
  tracker->detach(*log);
  tracker->wrote({page, 1});
  EXPECT_EQ(dirty(*log), 0U);
}

TEST_F(WriteTrackerTest, two_logs_hear_the_same_and_forget_on_their_own) {
  const auto first = attach();
  const auto second = attach();
  tracker->wrote({0, 1});
  EXPECT_EQ(dirty(*first), 1U);
  EXPECT_EQ(dirty(*second), 1U);
  tracker->detach(*first);
  tracker->wrote({0, 1});
  EXPECT_EQ(dirty(*first), 0U);
  EXPECT_EQ(dirty(*second), 1U);
}

TEST_F(WriteTrackerTest, a_writable_pin_is_dirty_when_made_while_held_and_when_dropped) {
  const auto log = attach();
  {
    const DmaPin held = hold(2 * page, 2 * page);
    EXPECT_EQ(dirty(*log), 0b1100U);
    EXPECT_EQ(dirty(*log), 0U) << "the log alone knows no pins";
    tracker->mark_held(*log);
    EXPECT_EQ(dirty(*log), 0b1100U);
  }
  EXPECT_EQ(dirty(*log), 0b1100U);
  tracker->mark_held(*log);
  EXPECT_EQ(dirty(*log), 0U);
}

TEST_F(WriteTrackerTest, a_pin_that_was_there_before_the_log_is_dirty_from_the_start) {
  DmaPin held = hold(page, page);
  const auto log = attach();
  EXPECT_EQ(dirty(*log), 0b10U);
  held.unpin();
  EXPECT_EQ(dirty(*log), 0b10U);
}

TEST_F(WriteTrackerTest, a_pin_for_reading_makes_nothing_dirty) {
  const auto log = attach();
  const DmaPin held = hold(0, page, Access::read);
  tracker->mark_held(*log);
  EXPECT_EQ(dirty(*log), 0U);
}

TEST_F(WriteTrackerTest, a_watched_pin_is_the_pin) {
  ASSERT_EQ(map_on(messages, 16 * page, page), 0);
  DmaPin held = hold(page, 2 * page, Access::read_write);
  EXPECT_EQ(held.range(), (IovaRange{page, 2 * page}));
  EXPECT_EQ(held.access(), Access::read_write);
  ASSERT_EQ(held.segments().size(), 1U);
  EXPECT_EQ(held.segments()[0].data, memory->bytes().data() + page);
  EXPECT_EQ(space->pin_count(), 1U);
  EXPECT_FALSE(held.revoked());
  DmaPin moved = std::move(held);
  EXPECT_EQ(space->pin_count(), 1U);
  moved.unpin();
  EXPECT_EQ(space->pin_count(), 0U);
}

TEST_F(WriteTrackerTest, a_watched_pin_may_outlive_its_space) {
  DmaPin held = hold(0, page);
  const auto log = attach();
  space->unregister_user(user);
  space.reset();
  EXPECT_TRUE(held.revoked());
  held.unpin();
}

TEST_F(WriteTrackerTest, many_pins_go_in_any_order) {
  const auto log = attach();
  std::vector<DmaPin> pins;
  for (Iova n = 0; n < 3; ++n) pins.push_back(hold(n * page, page));
  for (const std::size_t gone : {1U, 0U, 2U}) {
    (void)dirty(*log);
    pins[gone].unpin();
    EXPECT_EQ(dirty(*log), 1U << gone);
  }
  tracker->mark_held(*log);
  EXPECT_EQ(dirty(*log), 0U);
}

}  // namespace
}  // namespace umdev::iommu
