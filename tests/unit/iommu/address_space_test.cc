#include "umdev/iommu/address_space.h"

#include <gtest/gtest.h>

#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

using Map = SpaceTest;
using Pin = SpaceTest;
using Copy = SpaceTest;

TEST_F(Map, refuses_ranges_that_are_no_ranges) {
  const IovaRange bad[] = {{0x1000, 0},
                           {0x1001, page},
                           {0x1000, page + 1},
                           {0x1000, 1},
                           {UINT64_MAX - page + 1, 2 * page},
                           {2 * page, UINT64_MAX - page + 1}};
  for (const IovaRange range : bad) EXPECT_EQ(map(range.iova, range.size), EINVAL) << range.iova;
  EXPECT_EQ(space->mapping_count(), 0U);
}

TEST_F(Map, takes_the_last_page_of_the_address_space) {
  EXPECT_EQ(map(UINT64_MAX - page + 1, page), 0);
  EXPECT_EQ(pin_error(UINT64_MAX, 1), 0);
  EXPECT_EQ(pin_error(UINT64_MAX, 2), EOVERFLOW);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, UINT64_MAX - page + 1, page);
  EXPECT_EQ(outcome.value(), page);
}

TEST_F(Map, takes_the_last_page_of_memory_that_is_not_mapped_here) {
  const auto unmapped = std::make_shared<MessageBacking>(0);
  EXPECT_EQ(map_on(unmapped, UINT64_MAX - page + 1, page, Access::read, UINT64_MAX - page + 1), 0);
  EXPECT_EQ(map_on(unmapped, 0, 2 * page, Access::read, UINT64_MAX - page + 1), EFAULT) << "it wraps";
}

TEST_F(Map, overlap_is_eexist_and_neighbours_are_not) {
  ASSERT_EQ(map(4 * page, 4 * page), 0);
  EXPECT_EQ(map(4 * page, page), EEXIST);
  EXPECT_EQ(map(7 * page, page), EEXIST);
  EXPECT_EQ(map(3 * page, 2 * page), EEXIST);
  EXPECT_EQ(map(3 * page, 8 * page), EEXIST);
  EXPECT_EQ(map(5 * page, page), EEXIST);
  EXPECT_EQ(map(3 * page, page), 0);
  EXPECT_EQ(map(8 * page, page), 0);
}

TEST_F(Map, the_limit_is_enospc_but_an_overlap_is_still_eexist) {
  for (Iova iova = 0; iova != 4; ++iova) ASSERT_EQ(map(iova * page, page), 0);
  EXPECT_EQ(space->mappings_available(), 0U);
  EXPECT_EQ(map(4 * page, page), ENOSPC);
  EXPECT_EQ(map(3 * page, page), EEXIST);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(map(4 * page, page), 0);
}

TEST_F(Map, a_backing_that_is_too_short_is_efault) {
  EXPECT_EQ(map(0, page, Access::read, 16 * page), EFAULT);
  EXPECT_EQ(map(0, 17 * page, Access::read), EFAULT);
  EXPECT_EQ(map(0, page, Access::read, UINT64_MAX), EFAULT);
  EXPECT_EQ(map(0, page, Access::read, 15 * page), 0);
}

TEST_F(Map, a_message_backing_may_not_wrap) {
  EXPECT_EQ(map_on(messages, 0, page, Access::read, UINT64_MAX), EFAULT);
}

TEST_F(Map, a_message_backing_may_reach_to_the_last_address) {
  constexpr std::uint64_t last_page = UINT64_MAX - page + 1;
  EXPECT_EQ(map_on(messages, last_page, page, Access::read, last_page), 0);
  EXPECT_EQ(map_on(messages, page, last_page - page, Access::read, page), 0);
}

TEST_F(Map, memory_that_nobody_reaches_is_taken_and_faults) {
  ASSERT_EQ(map_on(nullptr, 0, page), 0);
  EXPECT_EQ(pin_error(0, page), EFAULT);
  EXPECT_EQ(read_error(0, 1), EFAULT);
  EXPECT_EQ(write_error(0, 1), EFAULT);
}

TEST_F(Map, the_backing_lives_as_long_as_its_mapping) {
  const std::weak_ptr<Backing> alive = memory;
  ASSERT_EQ(map(0, page), 0);
  memory.reset();
  EXPECT_FALSE(alive.expired());
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_TRUE(alive.expired());
}

// --- pins ---

TEST_F(Pin, C37_points_at_the_memory_and_names_the_file) {
  ASSERT_EQ(map(8 * page, 4 * page, Access::read_write, 2 * page), 0);
  const DmaPin held = pin(9 * page + 5, 100, Access::read_write);
  ASSERT_EQ(held.segments().size(), 1U);
  const DmaSegment& segment = held.segments()[0];
  EXPECT_EQ(segment.data, memory->bytes().data() + 3 * page + 5);
  EXPECT_EQ(segment.length, 100U);
  EXPECT_EQ(held.file_of(segment).fd, 7);
  EXPECT_EQ(held.file_of(segment).offset, 0x10000 + 3 * page + 5);
  EXPECT_EQ(held.range(), (IovaRange{9 * page + 5, 100}));
  EXPECT_FALSE(held.revoked());
}

TEST_F(Pin, C37_errors_come_in_their_order) {
  ASSERT_EQ(map(0, page, Access::read), 0);
  ASSERT_EQ(map(page, page, Access::write, page), 0);
  ASSERT_EQ(map_on(messages, 4 * page, page), 0);
  struct Case {
    const char* what;
    IovaRange range;
    Access access;
    int error;
  };
  const Case cases[] = {
      {"nothing", {0, 0}, Access::read, EINVAL},
      {"nothing, in a hole", {3 * page, 0}, Access::read, EINVAL},
      {"wraps", {UINT64_MAX, 2}, Access::read, EOVERFLOW},
      {"wraps, mapped at its start", {0x10, UINT64_MAX}, Access::read, EOVERFLOW},
      {"hole", {3 * page, 1}, Access::read, EINVAL},
      {"runs into a hole", {2 * page - 1, 2}, Access::write, EINVAL},
      {"not for writing", {0, 1}, Access::write, EPERM},
      {"not for reading", {page, 1}, Access::read, EPERM},
      {"not for both", {0, 1}, Access::read_write, EPERM},
      {"second mapping not for reading", {page - 1, 2}, Access::read, EPERM},
      {"first refuses before the hole", {page, 2 * page}, Access::read, EPERM},
      {"messages", {4 * page, 1}, Access::read, EOPNOTSUPP},
      {"reads what may be read", {0, page}, Access::read, 0},
      {"writes what may be written", {page, page}, Access::write, 0},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(pin_error(test.range.iova, test.range.size, test.access), test.error) << test.what;
  }
  EXPECT_EQ(space->pin_count(), 0U);
}

TEST_F(Pin, C37_a_message_mapping_refuses_the_whole_range) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(messages, page, page), 0);
  EXPECT_EQ(pin_error(0, 2 * page), EOPNOTSUPP);
  EXPECT_EQ(space->pin_count(), 0U);
}

TEST_F(Pin, C37_memory_that_went_bad_is_efault) {
  auto other = std::make_shared<MemoryBacking>(page);
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(other, page, page), 0);
  other->go_bad();
  EXPECT_EQ(pin_error(page, 1), EFAULT);
  EXPECT_EQ(pin_error(0, 2 * page), EFAULT);
  EXPECT_EQ(pin_error(0, page), 0);
  EXPECT_EQ(space->pin_count(), 0U);
}

TEST_F(Pin, C37_spans_mappings_in_the_order_of_the_addresses) {
  ASSERT_EQ(map(page, page, Access::read, 5 * page), 0);
  ASSERT_EQ(map(0, page, Access::read, 9 * page), 0);
  const DmaPin held = pin(10, 2 * page - 20);
  ASSERT_EQ(held.segments().size(), 2U);
  EXPECT_EQ(held.segments()[0].data, memory->bytes().data() + 9 * page + 10);
  EXPECT_EQ(held.segments()[0].length, page - 10);
  EXPECT_EQ(held.segments()[1].data, memory->bytes().data() + 5 * page);
  EXPECT_EQ(held.segments()[1].length, page - 10);
  EXPECT_EQ(held.file_of(held.segments()[0]).offset, 0x10000 + 9 * page + 10);
  EXPECT_EQ(held.file_of(held.segments()[1]).offset, 0x10000 + 5 * page);
}

TEST_F(Pin, adjoining_slices_of_one_backing_are_one_segment) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page, Access::read_write, page), 0);
  ASSERT_EQ(map(2 * page, page, Access::read_write, 4 * page), 0);
  const DmaPin held = pin(0, 3 * page);
  ASSERT_EQ(held.segments().size(), 2U);
  EXPECT_EQ(held.segments()[0].length, 2 * page);
  EXPECT_EQ(held.segments()[0].data, memory->bytes().data());
  EXPECT_EQ(held.segments()[1].data, memory->bytes().data() + 4 * page);
}

TEST_F(Pin, C37_the_same_address_may_be_pinned_twice) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin first = pin(0, page);
  DmaPin second = pin(0, page);
  EXPECT_EQ(space->pin_count(), 2U);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  first.unpin();
  EXPECT_FALSE(outcome.is_done());
  second.unpin();
  EXPECT_EQ(outcome.value(), page);
}

TEST_F(Pin, C37_the_limit_of_a_user_is_enomem) {
  FakeDmaUser other;
  space->register_user(other);
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin first = pin(0, 1);
  DmaPin second = pin(1, 1);
  EXPECT_EQ(pin_error(0, 2 * page), ENOMEM) << "counts once for each mapping";
  DmaPin third = pin(2, 1);
  EXPECT_EQ(pin_error(0, 1), ENOMEM);
  EXPECT_EQ(error_of(space->pin(other, {0, 1}, Access::read)), 0) << "another user's limit";
  third.unpin();
  EXPECT_EQ(pin_error(0, 1), 0);
  space->unregister_user(other);
}

TEST_F(Pin, a_stranger_may_not_pin) {
  ASSERT_EQ(map(0, page), 0);
  FakeDmaUser stranger;
  EXPECT_EQ(error_of(space->pin(stranger, {0, 1}, Access::read)), EINVAL);
  space->unregister_user(stranger);
}

TEST_F(Pin, moves_with_its_right) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  DmaPin held = pin(0, page);
  DmaPin moved = std::move(held);
  // NOLINTBEGIN(bugprone-use-after-move): that nothing is left is the rule
  EXPECT_FALSE(held);
  EXPECT_TRUE(held.segments().empty());
  // NOLINTEND(bugprone-use-after-move)
  EXPECT_EQ(moved.segments()[0].data, memory->bytes().data());
  moved = pin(0, 2 * page);
  EXPECT_EQ(space->pin_count(), 2U);
  EXPECT_EQ(moved.range().size, 2 * page);
  moved = DmaPin();
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_FALSE(moved.revoked());
}

TEST_F(Pin, outlives_the_space) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  const std::weak_ptr<Backing> alive = memory;
  DmaPin one = pin(0, page);
  DmaPin span = pin(0, 2 * page);
  space->unregister_user(user);
  space.reset();
  memory.reset();
  EXPECT_TRUE(one.revoked());
  EXPECT_TRUE(span.revoked());
  one.segments()[0].data[0] = std::byte{1};
  span.segments()[0].data[page] = std::byte{1};
  one.unpin();
  EXPECT_FALSE(alive.expired());
  span.unpin();
  EXPECT_TRUE(alive.expired());
}

// --- copies ---

TEST_F(Copy, C37_reads_and_writes_mapped_memory_at_once) {
  ASSERT_EQ(map(8 * page, 2 * page, Access::read_write, 3 * page), 0);
  const std::vector<std::byte> out{std::byte{1}, std::byte{2}, std::byte{3}};
  Outcome<> written;
  space->write(9 * page - 1, out, written.done());
  EXPECT_TRUE(written.succeeded());
  EXPECT_EQ(memory->bytes()[4 * page - 1], std::byte{1});
  EXPECT_EQ(memory->bytes()[4 * page + 1], std::byte{3});
  std::vector<std::byte> in(3);
  Outcome<> read;
  space->read(9 * page - 1, in, read.done());
  EXPECT_TRUE(read.succeeded());
  EXPECT_EQ(in, out);
}

TEST_F(Copy, C37_errors_come_before_a_byte_moves) {
  ASSERT_EQ(map(0, page, Access::read), 0);
  ASSERT_EQ(map(page, page, Access::write, page), 0);
  fill(memory->bytes(), 9);
  EXPECT_EQ(read_error(0, 0), EINVAL);
  EXPECT_EQ(read_error(UINT64_MAX, 2), EOVERFLOW);
  EXPECT_EQ(read_error(2 * page, 1), EINVAL);
  EXPECT_EQ(read_error(page, 1), EPERM);
  EXPECT_EQ(read_error(page - 1, 2), EPERM);
  EXPECT_EQ(write_error(0, 1), EPERM);
  EXPECT_EQ(write_error(2 * page - 1, 2), EINVAL);
  EXPECT_EQ(memory->bytes()[2 * page - 1], std::byte{9});
  EXPECT_EQ(write_error(2 * page - 1, 1), 0) << "write_needs is write here";
  EXPECT_EQ(memory->bytes()[2 * page - 1], std::byte{0});
}

TEST_F(Copy, says_which_memory_is_copied_at_once) {
  struct AtOnce final : Backing {
    Bytes mapped() override { return {}; }
    bool copies_at_once() const override { return true; }
  };
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(messages, page, page), 0);
  ASSERT_EQ(map_on(std::make_shared<AtOnce>(), 2 * page, page), 0);
  EXPECT_TRUE(space->copies_at_once({0, page}));
  EXPECT_FALSE(space->copies_at_once({page, 1}));
  EXPECT_TRUE(space->copies_at_once({2 * page + 1, 7}));
  EXPECT_FALSE(space->copies_at_once({0, page + 1})) << "of one mapping at a time";
  EXPECT_FALSE(space->copies_at_once({3 * page, 1})) << "nothing there";
  EXPECT_FALSE(space->copies_at_once({UINT64_MAX, 2}));
}

TEST_F(Copy, crosses_mappings_of_every_kind_in_order) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(messages, page, page), 0);
  ASSERT_EQ(map(2 * page, page, Access::read_write, 8 * page), 0);
  fill(memory->bytes(), 1);
  fill(messages->bytes(), 2);
  std::vector<std::byte> in(page + 2);
  Outcome<> read;
  space->read(page - 1, in, read.done());
  EXPECT_FALSE(read.is_done());
  EXPECT_EQ(messages->pending(), 1U);
  EXPECT_TRUE(messages->answer());
  EXPECT_TRUE(read.succeeded());
  EXPECT_EQ(in.front(), std::byte{1});
  EXPECT_EQ(in[1], std::byte{2});
  EXPECT_EQ(in[page], std::byte{2});
  EXPECT_EQ(in.back(), std::byte{1});

  fill(in, 5);
  Outcome<> written;
  space->write(page - 1, in, written.done());
  EXPECT_EQ(messages->answer_all(), 1U);
  EXPECT_TRUE(written.succeeded());
  EXPECT_EQ(memory->bytes()[page - 1], std::byte{5});
  EXPECT_EQ(messages->bytes()[0], std::byte{5});
  EXPECT_EQ(messages->bytes()[page - 1], std::byte{5});
  EXPECT_EQ(memory->bytes()[8 * page], std::byte{5});
  EXPECT_EQ(memory->bytes()[8 * page + 1], std::byte{1});
}

TEST_F(Copy, messages_go_to_the_right_place_of_the_backing) {
  ASSERT_EQ(map_on(messages, page, 2 * page, Access::read_write, 3 * page), 0);
  messages->bytes()[4 * page + 6] = std::byte{42};
  std::vector<std::byte> in(1);
  Outcome<> read;
  space->read(2 * page + 6, in, read.done());
  messages->answer_all();
  EXPECT_TRUE(read.succeeded());
  EXPECT_EQ(in[0], std::byte{42});
}

TEST_F(Copy, an_answer_inside_the_call_is_no_recursion) {
  limits.mappings_per_container = 65535;
  AddressSpace wide(clock, limits);
  messages->answer_at_once();
  constexpr std::size_t count = 20000;
  for (Iova index = 0; index != count; ++index) {
    ASSERT_TRUE(wide.map({{index * page, page}, Access::read, messages, 0}).has_value());
  }
  std::vector<std::byte> in(count * page);
  Outcome<> read;
  wide.read(0, in, read.done());
  EXPECT_TRUE(read.succeeded());
}

TEST_F(Copy, the_first_error_of_a_backing_ends_it) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(messages, page, page), 0);
  ASSERT_EQ(map(2 * page, page, Access::read_write, page), 0);
  std::vector<std::byte> from(2 * page + 1);
  fill(from, 5);
  Outcome<> written;
  space->write(page - 1, from, written.done());
  EXPECT_TRUE(messages->fail_with(EDEADLK));
  EXPECT_EQ(written.error(), EDEADLK);
  EXPECT_EQ(memory->bytes()[page - 1], std::byte{5}) << "what came before is done";
  EXPECT_EQ(memory->bytes()[page], std::byte{0}) << "what comes after is not";
  Outcome<std::uint64_t> gone;
  unmap(gone, 0, 3 * page);
  EXPECT_EQ(gone.value(), 3 * page) << "nothing is in use any more";
}

TEST_F(Copy, a_backing_that_forgets_a_request_cancels_it) {
  ASSERT_EQ(map_on(messages, 0, page), 0);
  std::vector<std::byte> in(1);
  Outcome<> read;
  space->read(0, in, read.done());
  EXPECT_TRUE(messages->fail_with(ECANCELED));
  EXPECT_EQ(read.error(), ECANCELED);
}

TEST_F(Copy, memory_that_went_bad_is_efault) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map_on(messages, page, page), 0);
  memory->go_bad();
  EXPECT_EQ(read_error(0, 1), EFAULT);
  EXPECT_EQ(write_error(0, 1), EFAULT);
  EXPECT_EQ(write_error(0, 2 * page), EFAULT);
  EXPECT_EQ(messages->pending(), 0U);
  messages->go_bad();
  EXPECT_EQ(read_error(page, 1), EFAULT);
  EXPECT_EQ(write_error(page, 1), EFAULT);
  EXPECT_EQ(messages->pending(), 0U);
}

}  // namespace
}  // namespace umdev::iommu
