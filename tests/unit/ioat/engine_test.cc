// The engine's own registers, and how its channels' interrupts become the function's.
#include "drivers/ioat/engine.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/outcome.h"

namespace umdev::ioat {
namespace {

using test::error_of;

class IoatEngine : public testing::Test {
 public:
  template <std::unsigned_integral T>
  T get(std::uint64_t offset) {
    T value = 0;
    engine.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <std::unsigned_integral T>
  void set(std::uint64_t offset, T value) {
    engine.write(offset, bytes_of(value));
  }
  // A channel carries out a descriptor that interrupts.
  Signals interrupt(unsigned index) {
    Channel& channel = engine.channel(index);
    channel.write(spec::chainaddr, bytes_of(std::uint64_t{0x1000}));
    channel.write(spec::chanctrl, bytes_of(std::uint16_t{1}));
    channel.write(spec::dmacount, bytes_of(std::uint16_t{1}));
    (void)channel.begin();
    channel.finish({.size = 1, .control = spec::control_int}, 0);
    return engine.take_signals();
  }

  Engine engine{4};
};

TEST_F(IoatEngine, says_what_it_can_and_keeps_what_may_be_set) {
  EXPECT_EQ(get<std::uint32_t>(0), 0x00001404U) << "four channels, 1 MiB, nothing enabled";
  EXPECT_EQ(get<std::uint8_t>(spec::cbver), 0x33);
  EXPECT_EQ(get<std::uint32_t>(spec::dmacap), 0x40U);
  set<std::uint32_t>(0, ~0U);
  EXPECT_EQ(get<std::uint32_t>(0), 0x09011404U);
  set<std::uint16_t>(spec::intrdelay, 0xffff);
  EXPECT_EQ(get<std::uint16_t>(spec::intrdelay), 0x3fff);
  set<std::uint8_t>(spec::intrdelay + 1, 0x12);
  EXPECT_EQ(get<std::uint16_t>(spec::intrdelay), 0x12ff);
  set<std::uint32_t>(spec::dmacap, 0);
  set<std::uint8_t>(spec::cbver, 0);
  EXPECT_EQ(get<std::uint32_t>(spec::dmacap), 0x40U);
  EXPECT_EQ(get<std::uint8_t>(spec::cbver), 0x33);
}

TEST_F(IoatEngine, an_access_may_span_blocks_and_what_is_no_register_reads_zero) {
  std::vector<std::byte> all(0x1000, std::byte{0xee});
  engine.read(0, all);
  EXPECT_EQ(*load_le<std::uint64_t>(all, 0x88), 3U) << "channel 0 is halted";
  EXPECT_EQ(*load_le<std::uint64_t>(all, 0x208), 3U) << "so is channel 3";
  for (std::size_t at = 0x280; at < all.size(); ++at) EXPECT_EQ(all[at], std::byte{0}) << at;
  const std::vector<std::byte> chain(0x90, std::byte{0x40});
  engine.write(0x100, chain);  // channel 1 and the beginning of channel 2
  EXPECT_EQ(get<std::uint64_t>(0x100 + spec::chancmp), 0x4040404040404040U);
  EXPECT_EQ(get<std::uint64_t>(0x80 + spec::chancmp), 0U);
  engine.write(0x280, std::vector<std::byte>(0x1000, std::byte{0xff}));
  EXPECT_EQ(get<std::uint64_t>(0x280), 0U);
}

TEST_F(IoatEngine, without_vector_control_all_channels_share_a_line) {
  EXPECT_FALSE(interrupt(1).line) << "not enabled";
  set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
  EXPECT_EQ(engine.take_signals().line, true) << "what has been waiting";
  const Signals more = interrupt(2);
  EXPECT_FALSE(more.line) << "it is high already";
  EXPECT_EQ(more.channels, 0U);
  EXPECT_EQ(get<std::uint8_t>(spec::intrctrl), 0x07);
  EXPECT_EQ(engine.take_signals().line, false) << "reading takes the master enable away";
  EXPECT_EQ(get<std::uint32_t>(spec::attnstatus), 0x6U);
  set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
  EXPECT_FALSE(engine.take_signals().line) << "reading has cleared what was waiting";
}

TEST_F(IoatEngine, with_vector_control_each_channel_sends_its_own_message) {
  set<std::uint8_t>(spec::intrctrl, spec::intrctrl_msix_vector_control);
  const Signals signals = interrupt(3);
  EXPECT_EQ(signals.channels, 1U << 3);
  EXPECT_FALSE(signals.line);
  EXPECT_EQ(engine.take_signals().channels, 0U);
  set<std::uint8_t>(spec::intrctrl, spec::intrctrl_msix_vector_control | spec::intrctrl_master_int_en);
  EXPECT_FALSE(engine.take_signals().line);
}

TEST_F(IoatEngine, reset_is_power_on) {
  set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
  (void)interrupt(0);
  engine.reset();
  Engine fresh(4);
  std::vector<std::byte> after(0x280), expected(0x280);
  engine.read(0, after);
  fresh.read(0, expected);
  EXPECT_EQ(after, expected);
  EXPECT_FALSE(engine.is_line_high());
}

// --- Its state as a stream.

std::vector<std::byte> saved(const Engine& engine) {
  StreamWriter writer("test", 4096);
  engine.save(writer);
  writer.finish();
  return {writer.bytes()->begin(), writer.bytes()->end()};
}

Result<> load(Engine& engine, ConstBytes stream) {
  auto reader = UMDEV_TRY(StreamReader::open(stream, "test"));
  UMDEV_TRY(engine.load(reader));
  return reader.end();
}

TEST_F(IoatEngine, every_register_is_in_its_state) {
  std::vector<std::byte> written(0x280);
  for (std::size_t at = 0; at < written.size(); ++at) written[at] = static_cast<std::byte>(at * 7 & 0xc0);
  engine.write(0, written);
  set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
  (void)interrupt(2);
  Engine other(4);
  ASSERT_TRUE(load(other, saved(engine)));
  EXPECT_EQ(saved(other), saved(engine));
  EXPECT_TRUE(other.is_line_high());
  std::vector<std::byte> here(0x280), there(0x280);
  engine.read(0, here);
  other.read(0, there);
  EXPECT_EQ(here, there);
}

TEST_F(IoatEngine, takes_no_state_of_another_engine_or_of_none) {
  const auto stream = saved(engine);
  Engine small(1);
  EXPECT_NE(error_of(load(small, stream)), 0) << "three channels too many";
  Engine other(4);
  EXPECT_EQ(error_of(load(other, saved(small))), EINVAL) << "three too few";
  EXPECT_EQ(saved(other), stream) << "and nothing has changed";
}

// One byte of a channel's section is replaced.
int load_channel(std::size_t at, unsigned value) {
  StreamWriter writer("test", 4096);
  Channel().save(writer);
  writer.finish();
  auto stream = StreamReader::open(*writer.bytes(), "test");
  SectionReader section = *stream->take(Channel::section_tag, Channel::section_version);
  std::vector<std::byte> bytes;
  while (const auto byte = section.get<std::uint8_t>()) bytes.push_back(std::byte{*byte});
  bytes.at(at) = static_cast<std::byte>(value);
  return error_of(Channel::load(SectionReader(bytes, 1)));
}

TEST(IoatChannelState, that_no_channel_can_be_in_is_refused) {
  EXPECT_EQ(load_channel(0, 0), 0) << "as it was";
  EXPECT_EQ(load_channel(0, 0x02), EINVAL) << "CHANCTRL has no such bit";
  EXPECT_EQ(load_channel(14, 0x01), EINVAL) << "CHANCMP is not aligned";
  EXPECT_EQ(load_channel(50, 5), EINVAL) << "no such state";
  EXPECT_EQ(load_channel(50, 0), EINVAL) << "active with nothing queued";
  EXPECT_EQ(load_channel(51, 2), EINVAL) << "no flag";
  EXPECT_EQ(load_channel(51, 1), EINVAL) << "an interrupt that was not told";
}

}  // namespace
}  // namespace umdev::ioat
