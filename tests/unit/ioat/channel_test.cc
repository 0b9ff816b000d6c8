// A channel's registers and rules, with no memory at all.
#include "drivers/ioat/channel.h"

#include <gtest/gtest.h>

#include <vector>

namespace umdev::ioat {
namespace {

using spec::State;

constexpr std::uint64_t chain = 0x12340000;
constexpr std::uint64_t next_of_chain = chain + spec::descriptor_size;

class IoatChannel : public testing::Test {
 public:
  template <std::unsigned_integral T>
  T get(std::uint16_t offset) const {
    T value = 0;
    channel.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <std::unsigned_integral T>
  void set(std::uint16_t offset, T value) {
    channel.write(offset, bytes_of(value));
  }
  State state() const { return State{static_cast<std::uint8_t>(get<std::uint64_t>(spec::chansts) & 7)}; }
  std::uint64_t last() const { return get<std::uint64_t>(spec::chansts) & ~std::uint64_t{0x3f}; }
  std::uint32_t error() const { return get<std::uint32_t>(spec::chanerr); }

  void arm(std::uint64_t address = chain) { set<std::uint64_t>(spec::chainaddr, address); }
  void queue(std::uint16_t count) { set(spec::dmacount, count); }
  void command(std::uint8_t bits) { set(spec::chancmd, bits); }
  // One descriptor, from beginning to end.
  std::uint64_t work(Descriptor descriptor = {.size = 1, .next = next_of_chain}, std::uint32_t error = 0) {
    const std::uint64_t address = channel.begin();
    channel.finish(descriptor, error);
    return address;
  }

  void expect_power_on() const {
    std::vector<std::byte> read(spec::channel_size);
    channel.read(0, read);
    std::vector<std::byte> expected(spec::channel_size);
    expected[spec::dma_comp] = std::byte{2};
    expected[spec::chansts] = std::byte{3};
    EXPECT_EQ(read, expected);
  }

  Channel channel;
};

TEST_F(IoatChannel, is_halted_at_power_on) {
  expect_power_on();
  EXPECT_EQ(get<std::uint16_t>(spec::dma_comp), 2);
  queue(5);
  EXPECT_EQ(state(), State::halted) << "it needs a chain first";
  EXPECT_FALSE(channel.has_work());
}

TEST_F(IoatChannel, a_chain_arms_and_a_count_starts_it) {
  arm();
  EXPECT_EQ(get<std::uint64_t>(spec::chansts), 4U) << "armed, and nothing of the chain is done";
  EXPECT_FALSE(channel.has_work());
  queue(1);
  EXPECT_EQ(state(), State::active) << "at once";
  EXPECT_TRUE(channel.has_work());
  EXPECT_EQ(channel.begin(), chain);
  EXPECT_FALSE(channel.has_work()) << "one at a time";
  EXPECT_EQ(state(), State::active);
  channel.finish({.size = 1, .next = next_of_chain}, 0);
  EXPECT_EQ(get<std::uint64_t>(spec::chansts), chain | 1U);
  EXPECT_EQ(get<std::uint64_t>(spec::cdar), next_of_chain);
}

TEST_F(IoatChannel, the_chain_may_be_written_in_halves) {
  set<std::uint32_t>(spec::chainaddr, 0x12340000);
  set<std::uint32_t>(spec::chainaddr + 4, 0x1);
  queue(1);
  EXPECT_EQ(channel.begin(), 0x112340000U);
  EXPECT_EQ(get<std::uint32_t>(spec::chainaddr + 4), 1U);
}

TEST_F(IoatChannel, counts_what_was_queued_in_all_and_wraps) {
  arm();
  queue(0xffff);
  for (int i = 0; i < 0xffff; ++i) work();
  EXPECT_EQ(state(), State::done);
  queue(1);  // 0x10001 in all
  EXPECT_EQ(work(), next_of_chain);
  EXPECT_EQ(state(), State::active);
  work();
  EXPECT_EQ(state(), State::done);
  EXPECT_EQ(get<std::uint16_t>(spec::dmacount), 1);
}

TEST_F(IoatChannel, what_was_queued_can_be_taken_back) {
  arm();
  queue(2);
  queue(0);
  EXPECT_EQ(state(), State::done);
  queue(1);
  EXPECT_EQ(channel.begin(), chain);
  queue(0);
  EXPECT_EQ(state(), State::active) << "one is under way";
  channel.finish({.size = 1}, 0);
  EXPECT_EQ(state(), State::done);
  EXPECT_FALSE(channel.has_work());
}

TEST_F(IoatChannel, a_chain_that_is_not_aligned_halts) {
  arm(chain + 32);
  EXPECT_EQ(state(), State::halted);
  EXPECT_EQ(error(), spec::chanerr_chain_addr_value);
  arm();
  EXPECT_EQ(state(), State::halted) << "while the error stands";
  set<std::uint32_t>(spec::chanerr, ~0U);
  EXPECT_EQ(state(), State::halted) << "until there is a chain again";
  arm();
  EXPECT_EQ(state(), State::armed);
}

TEST_F(IoatChannel, suspend_ends_between_two_descriptors_and_the_next_count_goes_on) {
  arm();
  queue(3);
  EXPECT_EQ(channel.begin(), chain);
  command(spec::chancmd_suspend);
  EXPECT_EQ(state(), State::active) << "the one under way is finished first";
  channel.finish({.size = 1, .next = next_of_chain}, 0);
  EXPECT_EQ(state(), State::suspended);
  EXPECT_EQ(last(), chain);
  EXPECT_FALSE(channel.has_work());
  queue(4);
  EXPECT_EQ(state(), State::active);
  EXPECT_EQ(work(), next_of_chain);
}

TEST_F(IoatChannel, a_count_takes_back_a_suspend_that_was_not_reached) {
  arm();
  queue(1);
  (void)channel.begin();
  command(spec::chancmd_suspend);
  queue(2);
  channel.finish({.size = 1, .next = chain}, 0);
  EXPECT_EQ(state(), State::active);
}

TEST_F(IoatChannel, resume_goes_back_to_what_was) {
  arm();
  command(spec::chancmd_suspend);
  EXPECT_EQ(state(), State::suspended);
  command(spec::chancmd_resume);
  EXPECT_EQ(state(), State::armed);
  queue(2);
  work();
  command(spec::chancmd_suspend);
  command(spec::chancmd_resume);
  EXPECT_EQ(state(), State::active);
  work();
  command(spec::chancmd_suspend);
  EXPECT_EQ(state(), State::suspended);
  command(spec::chancmd_resume);
  EXPECT_EQ(state(), State::done);
  command(spec::chancmd_resume);
  EXPECT_EQ(state(), State::done);
}

TEST_F(IoatChannel, a_halted_channel_is_not_suspended) {
  command(spec::chancmd_suspend);
  EXPECT_EQ(state(), State::halted);
  command(spec::chancmd_resume);
  EXPECT_EQ(state(), State::halted);
}

TEST_F(IoatChannel, abort_halts_at_once_and_cancels_what_is_under_way) {
  arm();
  queue(2);
  (void)channel.begin();
  command(spec::chancmd_abort);
  EXPECT_EQ(state(), State::halted);
  EXPECT_TRUE(channel.cancelled());
  EXPECT_EQ(channel.completion({.control = spec::control_completion}, 0), std::nullopt);
  channel.finish({.size = 1, .control = spec::control_int}, 0);
  EXPECT_EQ(last(), 0U) << "it is as if it had never been";
  EXPECT_FALSE(channel.take_interrupt());
  EXPECT_EQ(error(), 0U);
}

TEST_F(IoatChannel, reset_is_power_on_and_over_when_nothing_is_under_way) {
  arm();
  set<std::uint16_t>(spec::chanctrl, 0x1c);
  set<std::uint64_t>(spec::chancmp, 0x1000);
  set<std::uint32_t>(spec::chanerr_mask, 7);
  queue(1);
  work({}, spec::chanerr_length);
  command(spec::chancmd_reset);
  EXPECT_EQ(get<std::uint8_t>(spec::chancmd), 0);
  expect_power_on();
}

TEST_F(IoatChannel, a_reset_lasts_until_what_was_under_way_has_ended_and_a_chain_waits_for_it) {
  arm();
  queue(1);
  (void)channel.begin();
  command(spec::chancmd_reset);
  EXPECT_EQ(get<std::uint8_t>(spec::chancmd), spec::chancmd_reset);
  EXPECT_EQ(state(), State::halted);
  arm(0x8000);
  queue(1);
  EXPECT_EQ(state(), State::active);
  EXPECT_FALSE(channel.has_work());
  channel.finish({.size = 1, .next = 0x40}, spec::chanerr_length);
  EXPECT_EQ(get<std::uint8_t>(spec::chancmd), 0);
  EXPECT_EQ(error(), 0U) << "the error was the old chain's";
  EXPECT_EQ(work(), 0x8000U);
}

TEST_F(IoatChannel, of_several_commands_the_one_that_stops_most_is_obeyed) {
  arm();
  queue(1);
  work();
  command(spec::chancmd_suspend | spec::chancmd_resume);
  EXPECT_EQ(state(), State::suspended);
  command(0xff);
  EXPECT_EQ(get<std::uint64_t>(spec::chansts), 3U);
  EXPECT_EQ(get<std::uint64_t>(spec::chainaddr), 0U);
}

TEST_F(IoatChannel, an_error_halts_and_says_which_was_the_last_one_done) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    channel = Channel();
    arm();
    queue(3);
    work();
    work({}, 1U << bit);
    EXPECT_EQ(error(), 1U << bit);
    EXPECT_EQ(get<std::uint64_t>(spec::chansts), chain | 3U);
    queue(4);
    EXPECT_EQ(state(), State::halted);
  }
}

TEST_F(IoatChannel, chanerr_clears_what_is_written_as_one) {
  arm();
  queue(1);
  work({}, 0x0503);
  set<std::uint8_t>(spec::chanerr, 0x01);
  EXPECT_EQ(error(), 0x0502U);
  set<std::uint32_t>(spec::chanerr, 0x0402);
  EXPECT_EQ(error(), 0x0100U);
}

TEST_F(IoatChannel, writes_a_completion_where_it_is_asked_to) {
  set<std::uint64_t>(spec::chancmp, 0x12345677);
  EXPECT_EQ(get<std::uint64_t>(spec::chancmp), 0x12345670U) << "8 bytes, aligned";
  arm();
  queue(2);
  (void)channel.begin();
  const Descriptor asks{.size = 1, .control = spec::control_completion, .next = next_of_chain};
  EXPECT_EQ(channel.completion({.size = 1}, 0), std::nullopt);
  EXPECT_EQ(channel.completion(asks, 0)->address, 0x12345670U);
  EXPECT_EQ(channel.completion(asks, 0)->status, chain | 0U) << "there is more";
  channel.finish(asks, 0);
  (void)channel.begin();
  EXPECT_EQ(channel.completion(asks, 0)->status, next_of_chain | 1U);
  command(spec::chancmd_suspend);
  EXPECT_EQ(channel.completion(asks, 0)->status, next_of_chain | 2U);
}

TEST_F(IoatChannel, writes_a_completion_of_an_error_when_chanctrl_says_so) {
  const Descriptor asks{.size = 1, .control = spec::control_completion, .next = next_of_chain};
  for (const bool enabled : {false, true}) {
    channel = Channel();
    set<std::uint16_t>(spec::chanctrl, enabled ? spec::chanctrl_err_completion_en : 0);
    arm();
    queue(2);
    work(asks);
    (void)channel.begin();
    const auto completion = channel.completion(asks, spec::chanerr_length);
    EXPECT_EQ(completion.has_value(), enabled);
    if (completion) {
      EXPECT_EQ(completion->status, chain | 3U) << "the last one that is done, and halted";
    }
  }
}

TEST_F(IoatChannel, tells_once_until_it_is_armed_again) {
  const Descriptor tells{.size = 1, .control = spec::control_int, .next = chain};
  arm();
  queue(4);
  work();
  EXPECT_FALSE(channel.take_interrupt()) << "not asked for";
  work(tells);
  EXPECT_TRUE(channel.take_interrupt());
  EXPECT_FALSE(channel.take_interrupt());
  EXPECT_EQ(get<std::uint16_t>(spec::chanctrl), spec::chanctrl_int_rearm);
  set<std::uint16_t>(spec::chanctrl, spec::chanctrl_int_rearm);
  EXPECT_FALSE(channel.take_interrupt()) << "nothing was held back";
  EXPECT_EQ(get<std::uint16_t>(spec::chanctrl), 0);
  work(tells);
  EXPECT_TRUE(channel.take_interrupt());
  work(tells);
  EXPECT_FALSE(channel.take_interrupt());
  set<std::uint16_t>(spec::chanctrl, 0);
  EXPECT_FALSE(channel.take_interrupt()) << "writing 0 does not arm";
  set<std::uint16_t>(spec::chanctrl, spec::chanctrl_int_rearm);
  EXPECT_TRUE(channel.take_interrupt()) << "what was held back";
}

TEST_F(IoatChannel, tells_of_an_error_when_enabled_and_not_masked) {
  const struct {
    std::uint16_t control;
    std::uint32_t mask;
    bool told;
  } rows[] = {{0, 0, false},
              {spec::chanctrl_err_int_en, 0, true},
              {spec::chanctrl_err_int_en, spec::chanerr_length, false},
              {spec::chanctrl_err_int_en, ~spec::chanerr_length, true}};
  for (const auto& row : rows) {
    channel = Channel();
    set(spec::chanctrl, row.control);
    set(spec::chanerr_mask, row.mask);
    arm();
    queue(1);
    work({.control = spec::control_int}, spec::chanerr_length);
    EXPECT_EQ(channel.take_interrupt(), row.told) << row.control << " " << row.mask;
    EXPECT_EQ(error(), spec::chanerr_length) << "masked or not";
  }
}

TEST_F(IoatChannel, an_access_of_any_size_reaches_each_register_once) {
  std::vector<std::byte> all(spec::channel_size);
  const auto put = [&](std::uint16_t at, auto value) { ASSERT_TRUE(store_le(Bytes(all), at, value)); };
  put(spec::chanctrl, std::uint16_t{0xffff});
  put(spec::dmacount, std::uint16_t{9});
  put(spec::chainaddr, chain);
  put(spec::chancmp, std::uint64_t{0x5008});
  put(spec::chanerr_mask, std::uint32_t{0x77});
  put(spec::dcactrl, std::uint32_t{0x88});
  channel.write(0, all);
  std::vector<std::byte> read(spec::channel_size);
  channel.read(0, read);
  EXPECT_EQ(*load_le<std::uint16_t>(read, spec::chanctrl), spec::chanctrl_writable);
  EXPECT_EQ(*load_le<std::uint16_t>(read, spec::dmacount), 0) << "the chain came after it";
  EXPECT_EQ(*load_le<std::uint64_t>(read, spec::chansts), 4U);
  EXPECT_EQ(*load_le<std::uint64_t>(read, spec::chancmp), 0x5008U);
  EXPECT_EQ(*load_le<std::uint32_t>(read, spec::chanerr_mask), 0x77U);
  EXPECT_EQ(*load_le<std::uint32_t>(read, spec::dcactrl), 0x88U);
  set<std::uint8_t>(spec::dmacount + 1, 0x01);
  EXPECT_EQ(get<std::uint16_t>(spec::dmacount), 0x100);
  set<std::uint64_t>(0x40, ~0ULL);
  EXPECT_EQ(get<std::uint64_t>(0x40), 0U) << "no register is there";
}

}  // namespace
}  // namespace umdev::ioat
