// How mappings go: rules, draining, deadline, users.
#include <gtest/gtest.h>

#include "tests/unit/iommu/fixtures.h"
#include "umdev/iommu/address_space.h"

namespace umdev::iommu {
namespace {

using Unmap = SpaceTest;
using Draining = SpaceTest;
using Deadline = SpaceTest;
using DmaUsers = SpaceTest;

constexpr auto deadline = std::chrono::seconds(10);

TEST_F(Unmap, a_bad_range_is_einval) {
  for (const IovaRange range : {IovaRange{0, 0}, IovaRange{UINT64_MAX, 2}}) {
    Outcome<std::uint64_t> outcome;
    unmap(outcome, range.iova, range.size);
    EXPECT_EQ(outcome.error(), EINVAL);
  }
}

TEST_F(Unmap, whole_takes_several_mappings_and_nothing_is_success) {
  ASSERT_EQ(map(page, page), 0);
  ASSERT_EQ(map(4 * page, 2 * page), 0);
  Outcome<std::uint64_t> nothing;
  unmap(nothing, 2 * page, 2 * page);
  EXPECT_EQ(nothing.value(), 0U);
  Outcome<std::uint64_t> both;
  unmap(both, 0, 32 * page);
  EXPECT_EQ(both.value(), 3 * page);
  EXPECT_EQ(space->mapping_count(), 0U);
}

TEST_F(Unmap, whole_refuses_to_cut_and_then_unmaps_nothing) {
  ASSERT_EQ(map(page, page), 0);
  ASSERT_EQ(map(4 * page, 3 * page), 0);
  for (const IovaRange cut :
       {IovaRange{0, 5 * page}, IovaRange{5 * page, 2 * page}, IovaRange{5 * page, page},
        IovaRange{4 * page, page}, IovaRange{6 * page, 9 * page}}) {
    Outcome<std::uint64_t> outcome;
    unmap(outcome, cut.iova, cut.size);
    EXPECT_EQ(outcome.error(), EINVAL) << cut.iova / page;
  }
  EXPECT_EQ(space->mapping_count(), 2U);
  EXPECT_TRUE(user.unmapped().empty());
}

TEST_F(Unmap, first_address_takes_more_than_was_asked_or_nothing) {
  ASSERT_EQ(map(page, 4 * page), 0);
  ASSERT_EQ(map(8 * page, page), 0);
  Outcome<std::uint64_t> inside;
  unmap(inside, 2 * page, 8 * page, UnmapRule::first_address);
  EXPECT_EQ(inside.value(), 0U) << "also what is wholly covered stays";
  Outcome<std::uint64_t> more;
  unmap(more, page, page, UnmapRule::first_address);
  EXPECT_EQ(more.value(), 4 * page);
  EXPECT_EQ(space->mapping_count(), 1U);
}

TEST_F(Unmap, everything_takes_the_last_page_too) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(UINT64_MAX - page + 1, page), 0);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 0, UnmapRule::everything);
  EXPECT_EQ(outcome.value(), 2 * page);
  EXPECT_EQ(space->mapping_count(), 0U);
}

TEST_F(Unmap, leaves_no_trace_of_the_last_hit) {
  ASSERT_EQ(map(0, page), 0);
  EXPECT_EQ(pin_error(0, 1), 0);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(pin_error(0, 1), EINVAL);
  EXPECT_EQ(read_error(0, 1), EINVAL);
  ASSERT_EQ(map(0, page, Access::read, 5 * page), 0);
  EXPECT_EQ(pin(0, 1).segments()[0].data, memory->bytes().data() + 5 * page);
}

TEST_F(Unmap, C37_every_user_hears_of_each_whole_mapping) {
  FakeDmaUser other;
  space->register_user(other);
  ASSERT_EQ(map(0, 2 * page), 0);
  ASSERT_EQ(map(2 * page, page), 0);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 5 * page);
  const std::vector<IovaRange> expected{{0, 2 * page}, {2 * page, page}};
  EXPECT_EQ(user.unmapped(), expected);
  EXPECT_EQ(other.unmapped(), expected);
  space->unregister_user(other);
}

TEST_F(Unmap, a_user_that_never_pins_hears_of_none) {
  FakeDmaUser reader(/*pins=*/false);
  space->register_user(reader);
  ASSERT_EQ(map(0, page), 0);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(outcome.value(), page);
  EXPECT_TRUE(reader.unmapped().empty());
  EXPECT_EQ(user.unmapped().size(), 1U);
  space->unregister_user(reader);
}

TEST_F(Unmap, users_are_called_with_no_lock_and_while_the_mapping_is_there) {
  ASSERT_EQ(map(0, page), 0);
  int locks = -1;
  bool mapped = false;
  user.on_dma_unmap = [&](IovaRange range) {
    locks = Mutex::count_held_by_this_thread();
    mapped = space->is_mapped(range);
  };
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(locks, 0);
  EXPECT_TRUE(mapped);
  EXPECT_FALSE(space->is_mapped({0, page}));
}

// --- draining ---

TEST_F(Draining, C37_refuses_pins_and_copies_as_if_gone_and_maps_as_if_there) {
  ASSERT_EQ(map(0, 2 * page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 2 * page);
  EXPECT_FALSE(outcome.is_done());
  EXPECT_EQ(pin_error(0, 1), EINVAL);
  EXPECT_EQ(pin_error(page, 1), EINVAL);
  EXPECT_EQ(read_error(0, 1), EINVAL);
  EXPECT_EQ(write_error(0, 1), EINVAL);
  EXPECT_EQ(map(page, page), EEXIST);
  EXPECT_FALSE(held.revoked());
  held.unpin();
  EXPECT_EQ(outcome.value(), 2 * page);
  EXPECT_EQ(map(page, page), 0);
  EXPECT_EQ(clock.pending_timers(), 0U);
}

TEST_F(Draining, waits_for_a_copy_under_way) {
  ASSERT_EQ(map_on(messages, 0, page), 0);
  std::vector<std::byte> in(8);
  Outcome<> read;
  space->read(0, in, read.done());
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_FALSE(outcome.is_done());
  messages->answer();
  EXPECT_TRUE(read.succeeded());
  EXPECT_EQ(outcome.value(), page);
}

TEST_F(Draining, waits_for_a_pin_that_only_ends_in_the_mapping) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin span = pin(page - 1, 2);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, page, page);
  EXPECT_FALSE(outcome.is_done());
  span.unpin();
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(space->mapping_count(), 1U);
}

TEST_F(Draining, a_user_may_unpin_in_its_callback) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  user.on_dma_unmap = [&](IovaRange) { held.unpin(); };
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(outcome.value(), page);
  EXPECT_EQ(clock.pending_timers(), 0U);
}

TEST_F(Draining, a_user_may_not_pin_in_its_callback) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  int there = -1;
  int elsewhere = -1;
  user.on_dma_unmap = [&](IovaRange) {
    there = pin_error(0, 1);
    elsewhere = pin_error(page, 1);
  };
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(there, EINVAL);
  EXPECT_EQ(elsewhere, 0);
  EXPECT_TRUE(outcome.succeeded());
}

TEST_F(Draining, the_second_of_two_unmaps_ends_after_the_first_and_counts_nothing_twice) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> first;
  Outcome<std::uint64_t> second;
  unmap(first, 0, page);
  unmap(second, 0, 2 * page);
  EXPECT_FALSE(first.is_done());
  EXPECT_FALSE(second.is_done()) << "its range is not free yet";
  held.unpin();
  EXPECT_EQ(first.value(), page);
  EXPECT_EQ(second.value(), page);
  EXPECT_EQ(map(0, 2 * page), 0);
}

TEST_F(Draining, what_is_draining_is_not_cut) {
  ASSERT_EQ(map(0, 3 * page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> first;
  Outcome<std::uint64_t> cut;
  Outcome<std::uint64_t> cut_v1;
  unmap(first, 0, 3 * page);
  unmap(cut, page, page);
  unmap(cut_v1, page, page, UnmapRule::first_address);
  held.unpin();
  EXPECT_EQ(first.value(), 3 * page);
  EXPECT_EQ(cut.value(), 0U);
  EXPECT_EQ(cut_v1.value(), 0U);
}

TEST_F(Draining, an_unmap_elsewhere_does_not_wait) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> first;
  Outcome<std::uint64_t> second;
  unmap(first, 0, page);
  unmap(second, page, page);
  EXPECT_EQ(second.value(), page);
  held.unpin();
  EXPECT_EQ(first.value(), page);
}

TEST_F(Draining, done_may_map_again_and_may_destroy_the_space) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  int mapped = -1;
  std::size_t timers = 1;
  space->unmap({0, page}, UnmapRule::whole, [&](Result<std::uint64_t>) {
    timers = clock.pending_timers();
    mapped = map(0, page);
    space->unregister_user(user);
    space.reset();
  });
  held.unpin();
  EXPECT_EQ(mapped, 0);
  EXPECT_EQ(timers, 0U);
  EXPECT_EQ(space, nullptr);
}

// --- the deadline ---

TEST_F(Deadline, C37_takes_the_pins_of_a_user_that_keeps_them) {
  FakeDmaUser innocent;
  space->register_user(innocent);
  ASSERT_EQ(map(0, page, Access::read_write, page), 0);
  ASSERT_EQ(map(page, page, Access::read_write, 4 * page), 0);
  fill(memory->bytes(), 7);
  DmaPin held = pin(0, page, Access::read_write);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 2 * page);
  clock.advance(deadline - std::chrono::nanoseconds(1));
  EXPECT_FALSE(outcome.is_done());
  EXPECT_TRUE(user.revoked().empty());
  clock.advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(outcome.value(), 2 * page) << "the client is answered with success";
  EXPECT_EQ(user.revoked(), (std::vector<IovaRange>{{0, page}}));
  EXPECT_TRUE(innocent.revoked().empty()) << "only who still holds pins is told";
  EXPECT_EQ(memory->revoked(), (std::vector<test::BackingSlice>{{page, page}}))
      << "only what was pinned is revoked";
  EXPECT_TRUE(held.revoked());
  EXPECT_EQ(held.segments()[0].data[0], std::byte{0});
  EXPECT_EQ(memory->bytes()[4 * page], std::byte{7});
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_EQ(space->mapping_count(), 0U);
  held.unpin();
  EXPECT_EQ(space->pin_count(), 0U) << "a late unpin is harmless";
  space->unregister_user(innocent);
}

TEST_F(Deadline, gives_the_users_limit_back) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin pins[3] = {pin(0, 1), pin(0, 1), pin(0, 1)};
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  clock.advance(deadline);
  ASSERT_EQ(map_on(std::make_shared<MemoryBacking>(page), 0, page), 0);
  DmaPin again = pin(0, 1);
  for (DmaPin& old : pins) old.unpin();
  EXPECT_EQ(space->pin_count(), 1U) << "a late unpin does not count against a new mapping";
  EXPECT_FALSE(again.revoked());
}

TEST_F(Deadline, is_not_reached_by_an_unmap_in_time) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  held.unpin();
  clock.advance(2 * deadline);
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_TRUE(user.revoked().empty());
  EXPECT_TRUE(memory->revoked().empty());
}

TEST_F(Deadline, a_span_loses_one_mapping_and_keeps_the_other) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page, Access::read_write, page), 0);
  DmaPin span = pin(0, 2 * page);
  Outcome<std::uint64_t> first;
  unmap(first, 0, page);
  clock.advance(deadline);
  EXPECT_TRUE(first.succeeded());
  EXPECT_TRUE(span.revoked());
  EXPECT_EQ(space->pin_count(), 1U);
  Outcome<std::uint64_t> second;
  unmap(second, page, page);
  EXPECT_FALSE(second.is_done());
  span.unpin();
  EXPECT_TRUE(second.succeeded());
}

TEST_F(Deadline, a_user_may_unpin_and_unregister_when_it_is_told) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  bool revoked = false;
  user.on_pins_revoked = [&](IovaRange) {
    revoked = held.revoked();
    held.unpin();
    space->unregister_user(user);
  };
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  clock.advance(deadline);
  EXPECT_TRUE(revoked);
  EXPECT_TRUE(outcome.succeeded());
}

TEST_F(Deadline, ends_an_unmap_that_waits_for_a_message) {
  ASSERT_EQ(map_on(messages, 0, page), 0);
  std::vector<std::byte> in(8);
  Outcome<> read;
  space->read(0, in, read.done());
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  clock.advance(deadline);
  EXPECT_EQ(outcome.value(), page);
  EXPECT_TRUE(user.revoked().empty());
  messages->answer();
  EXPECT_TRUE(read.succeeded());
}

TEST_F(Deadline, ends_an_unmap_whose_user_is_still_in_its_callback) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  bool ended_meanwhile = false;
  user.on_dma_unmap = [&](IovaRange) {
    clock.advance(deadline);  // as if the callback were stuck and the clock's thread went on
    ended_meanwhile = outcome.succeeded();
  };
  unmap(outcome, 0, 2 * page);
  EXPECT_TRUE(ended_meanwhile);
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(user.unmapped().size(), 1U) << "of what is gone nobody is told";
  EXPECT_TRUE(held.revoked());
}

TEST_F(Deadline, releases_the_second_unmap_too) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> first;
  Outcome<std::uint64_t> second;
  unmap(first, 0, page);
  clock.advance(std::chrono::seconds(1));
  unmap(second, 0, page);
  clock.advance(deadline - std::chrono::seconds(1));
  EXPECT_EQ(first.value(), page);
  EXPECT_EQ(second.value(), 0U);
}

TEST_F(Deadline, another_mapping_of_the_same_bytes_faults_instead_of_showing_zeroes) {
  ASSERT_EQ(map(0, 2 * page), 0);
  ASSERT_EQ(map(4 * page, 2 * page, Access::read_write, page), 0);
  ASSERT_EQ(map(8 * page, page, Access::read_write, 2 * page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 2 * page);
  clock.advance(deadline);
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(pin_error(4 * page, 1), EFAULT);
  EXPECT_EQ(read_error(4 * page, 1), EFAULT);
  EXPECT_EQ(pin_error(8 * page, 1), 0);
}

// --- users ---

TEST_F(DmaUsers, are_not_called_after_they_left) {
  ASSERT_EQ(map(0, page), 0);
  space->unregister_user(user);
  space->unregister_user(user);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_TRUE(user.unmapped().empty());
}

TEST_F(DmaUsers, a_pin_left_behind_is_revoked_and_not_waited_for) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page, Access::read_write, page), 0);
  fill(memory->bytes(), 7);
  DmaPin left = pin(0, 1);
  space->unregister_user(user);
  EXPECT_TRUE(left.revoked());
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_EQ(memory->bytes()[0], std::byte{7}) << "other users of the mapping still need it";
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 2 * page);
  EXPECT_EQ(outcome.value(), 2 * page);
  EXPECT_EQ(left.segments()[0].data[0], std::byte{0}) << "the mapping is gone, and its memory with it";
  EXPECT_EQ(memory->revoked(), (std::vector<test::BackingSlice>{{0, page}}));
}

TEST_F(DmaUsers, a_pin_left_behind_that_is_dropped_in_time_costs_no_memory) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin left = pin(0, 1);
  DmaPin second = pin(0, 1);
  space->unregister_user(user);
  left.unpin();
  second.unpin();
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_TRUE(memory->revoked().empty());
}

TEST_F(DmaUsers, may_not_pin_after_they_left) {
  ASSERT_EQ(map(0, page), 0);
  EXPECT_EQ(pin_error(0, 1), 0);
  space->unregister_user(user);
  EXPECT_EQ(pin_error(0, 1), EINVAL);
}

TEST_F(DmaUsers, leaving_ends_the_unmap_that_waited_for_them) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin left = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_FALSE(outcome.is_done());
  space->unregister_user(user);
  EXPECT_EQ(outcome.value(), page);
  EXPECT_TRUE(user.revoked().empty());
}

TEST_F(DmaUsers, may_leave_in_their_callback) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin left = pin(0, 1);
  user.on_dma_unmap = [&](IovaRange) { space->unregister_user(user); };
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, 2 * page);
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(user.unmapped().size(), 1U);
  EXPECT_TRUE(left.revoked());
}

TEST_F(DmaUsers, the_old_pin_of_one_that_came_back_is_not_the_new_ones) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin old = pin(0, 1);
  space->unregister_user(user);
  space->register_user(user);
  DmaPin fresh = pin(0, 1);
  EXPECT_TRUE(old.revoked());
  EXPECT_FALSE(fresh.revoked());
  old.unpin();
  EXPECT_EQ(space->pin_count(), 1U);
}

TEST_F(DmaUsers, only_the_pins_of_the_one_that_leaves_go) {
  FakeDmaUser other;
  space->register_user(other);
  ASSERT_EQ(map(0, page), 0);
  DmaPin mine = pin(0, 1);
  Result<DmaPin> theirs = space->pin(other, {0, 1}, Access::read);
  ASSERT_TRUE(theirs.has_value());
  space->unregister_user(other);
  EXPECT_TRUE(theirs->revoked());
  EXPECT_FALSE(mine.revoked());
  EXPECT_EQ(space->pin_count(), 1U);
}

TEST_F(DmaUsers, are_not_told_when_everything_is_dropped) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  DmaPin other = pin(page, 1);
  space->drop_all();
  EXPECT_EQ(outcome.value(), page) << "an unmap that waits ends";
  EXPECT_EQ(user.unmapped().size(), 1U);
  EXPECT_TRUE(user.revoked().empty());
  EXPECT_TRUE(held.revoked());
  EXPECT_TRUE(other.revoked());
  EXPECT_EQ(space->mapping_count(), 0U);
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_EQ(map(0, page), 0);
}

TEST_F(DmaUsers, a_waiting_unmap_ends_when_the_space_does) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  // Its user leaves after the space has gone: nothing may be called then.
  AddressSpace* raw = space.get();
  raw->drop_all();
  space->unregister_user(user);
  space.reset();
  EXPECT_EQ(outcome.value(), page);
  clock.advance(2 * deadline);
  EXPECT_EQ(clock.pending_timers(), 0U);
}

using DmaUsersDeathTest = SpaceTest;
TEST_F(DmaUsersDeathTest, registering_twice_is_our_mistake) {
  EXPECT_DEATH(space->register_user(user), "registered twice");
}

}  // namespace
}  // namespace umdev::iommu
