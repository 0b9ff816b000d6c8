// A guest's serial driver in miniature: it finds out what chip it has, tests its interrupts, and moves data
// from an interrupt handler as an 8250 driver does. It knows the data sheet and nothing of the card's inside.
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "tests/unit/mtty/card.h"

namespace umdev::mtty {
namespace {

class Driver {
 public:
  Driver(Card& card, unsigned port) : card_(card), port_(port) {}

  std::uint8_t in(std::uint8_t offset) { return card_.in(port_, offset); }
  void out(std::uint8_t offset, unsigned value) { card_.out(port_, offset, value); }

  // Is there a chip at all? All four interrupt enable bits can be cleared and set.
  bool exists() {
    const std::uint8_t saved = in(spec::ier);
    out(spec::ier, 0);
    const bool clears = (in(spec::ier) & 0x0f) == 0;
    out(spec::ier, 0x0f);
    const bool sets = (in(spec::ier) & 0x0f) == 0x0f;
    out(spec::ier, saved);
    return clears && sets;
  }
  // RTS and OUT2 in loop mode show up as CTS and DCD, and nothing else does.
  bool loops() {
    const std::uint8_t saved = in(spec::mcr);
    out(spec::mcr, spec::mcr_loop | spec::mcr_out2 | spec::mcr_rts);
    const int status = in(spec::msr) & 0xf0;
    out(spec::mcr, saved);
    return status == (spec::msr_dcd | spec::msr_cts);
  }
  bool has_scratch() {
    for (const unsigned value : {0xa5U, 0x5aU}) {
      out(spec::scr, value);
      if (in(spec::scr) != value) return false;
    }
    return true;
  }
  // Later chips answer in register 2 while LCR selects their extra registers. Switches the FIFO on.
  bool has_enhanced_features() {
    out(spec::lcr, 0xbf);
    out(spec::fcr, 0);
    out(spec::lcr, 0);
    out(spec::fcr, spec::fcr_enable_fifo);
    out(spec::lcr, spec::lcr_dlab);
    const bool first_kind = in(spec::iir) == 0;
    out(spec::lcr, 0xbf);
    const bool second_kind = in(spec::iir) == 0;
    out(spec::lcr, 0);
    return first_kind || second_kind;
  }
  // A chip with a FIFO of 64 bytes shows bit 5 of IIR when that is switched on under DLAB.
  bool has_large_fifo() {
    out(spec::lcr, spec::lcr_dlab);
    out(spec::fcr, spec::fcr_enable_fifo | 0x20);
    const bool large = (in(spec::iir) & 0x20) != 0;
    out(spec::fcr, spec::fcr_enable_fifo);
    out(spec::lcr, 0);
    return large;
  }
  // How many of 256 bytes are still there.
  unsigned measured_fifo() {
    out(spec::fcr, spec::fcr_enable_fifo | spec::fcr_clear_rcvr | spec::fcr_clear_xmit);
    out(spec::mcr, spec::mcr_loop);
    for (unsigned byte = 0; byte < 256; ++byte) out(spec::thr, byte);
    unsigned count = 0;
    for (; (in(spec::lsr)&spec::lsr_dr) != 0 && count < 256; ++count) in(spec::rbr);
    out(spec::mcr, 0);
    return count;
  }

  // The test for chips that do not raise THRE again when they are idle: those need a timer to be driven.
  bool needs_thre_timer() {
    const bool before = thri_shown();
    const bool again = thri_shown();
    return before && !again;
  }
  // The test for chips whose first interrupt does not come by enabling it.
  bool needs_kick() {
    out(spec::ier, spec::ier_thri);
    const bool empty = (in(spec::lsr)&spec::lsr_temt) != 0;
    const bool silent = (in(spec::iir)&spec::iir_no_int) != 0;
    out(spec::ier, 0);
    return empty && silent;
  }

  void start() {
    out(spec::fcr, spec::fcr_enable_fifo | spec::fcr_clear_rcvr | spec::fcr_clear_xmit);
    out(spec::fcr, spec::fcr_enable_fifo | 0x80);
    for (const std::uint8_t offset : {spec::lsr, spec::rbr, spec::iir, spec::msr}) in(offset);
    out(spec::lcr, 0x03);
    out(spec::mcr, spec::mcr_dtr | spec::mcr_rts | spec::mcr_out2);
    enabled_ = spec::ier_rlsi | spec::ier_rdi;
    out(spec::ier, enabled_);
  }
  // Queues bytes and asks for an interrupt to send them.
  void send(const std::vector<std::uint8_t>& bytes) {
    to_send_.insert(to_send_.end(), bytes.begin(), bytes.end());
    enabled_ |= spec::ier_thri;
    out(spec::ier, enabled_);
  }
  // One port's part of the handler: did it have anything to do?
  bool handle() {
    if ((in(spec::iir)&spec::iir_no_int) != 0) return false;
    std::uint8_t status = in(spec::lsr);
    for (int room = 256; (status & (spec::lsr_dr | spec::lsr_oe)) != 0 && room > 0; --room) {
      if ((status & spec::lsr_oe) != 0) ++overruns;
      if ((status & spec::lsr_dr) != 0) received.push_back(in(spec::rbr));
      status = in(spec::lsr);
    }
    in(spec::msr);
    if ((status & spec::lsr_thre) != 0 && (enabled_ & spec::ier_thri) != 0) send_some();
    return true;
  }

  std::vector<std::uint8_t> received;
  unsigned overruns = 0;

 private:
  bool thri_shown() {
    out(spec::ier, spec::ier_thri);
    const bool shown = (in(spec::iir)&spec::iir_no_int) == 0;
    out(spec::ier, 0);
    return shown;
  }
  void send_some() {
    for (int room = spec::fifo_depth; room > 0 && !to_send_.empty(); --room) {
      out(spec::thr, to_send_.front());
      to_send_.pop_front();
    }
    if (!to_send_.empty()) return;
    enabled_ = static_cast<std::uint8_t>(enabled_ & ~spec::ier_thri);
    out(spec::ier, enabled_);
  }

  Card& card_;
  const unsigned port_;
  std::uint8_t enabled_ = 0;
  std::deque<std::uint8_t> to_send_;
};

// The guest's interrupt: asks every port until a whole round found nothing, then acknowledges.
unsigned serve_interrupts(Card& card, std::vector<Driver*> ports, std::uint32_t index) {
  unsigned interrupts = 0;
  while (card.user.irq().take(index) != 0) {
    ++interrupts;
    unsigned rounds = 0;
    for (bool worked = true; worked && rounds < 100000; ++rounds) {
      worked = false;
      for (Driver* port : ports) worked = port->handle() || worked;
    }
    if (index == intx) card.unmask();
  }
  return interrupts;
}

std::vector<std::uint8_t> pattern(std::size_t size, unsigned factor) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t at = 0; at < size; ++at) bytes[at] = static_cast<std::uint8_t>(at * factor + at / 251);
  return bytes;
}

TEST(Driver8250, finds_a_16550A_on_each_port) {
  Card card;
  for (unsigned port = 0; port < 2; ++port) {
    Driver driver(card, port);
    EXPECT_TRUE(driver.exists());
    EXPECT_TRUE(driver.loops());
    EXPECT_TRUE(driver.has_scratch());
    EXPECT_FALSE(driver.has_enhanced_features());
    EXPECT_EQ(driver.in(spec::iir) & 0xc0, 0xc0) << "FIFOs that work";
    EXPECT_FALSE(driver.has_large_fifo());
    EXPECT_EQ(driver.measured_fifo(), 16U);
  }
}

TEST(Driver8250, trusts_the_transmitter_interrupt) {
  Card card;
  Driver driver(card, 0);
  EXPECT_FALSE(driver.needs_thre_timer());
  EXPECT_FALSE(driver.needs_kick());
}

class Driver8250Loop : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Driver8250Loop, moves_16_KiB_through_each_port_at_once) {
  const std::uint32_t index = GetParam();
  Card card;
  ASSERT_TRUE(card.user.irq().listen(index));
  Driver first(card, 0);
  Driver second(card, 1);
  const auto to_first = pattern(16384, 1);
  const auto to_second = pattern(16384, 7);
  first.start();
  second.start();
  first.send(to_first);
  second.send(to_second);
  EXPECT_GT(serve_interrupts(card, {&first, &second}, index), 0U);
  EXPECT_TRUE(first.received == to_first);
  EXPECT_TRUE(second.received == to_second);
  EXPECT_EQ(first.overruns + second.overruns, 0U);
}

INSTANTIATE_TEST_SUITE_P(intx_and_msi, Driver8250Loop, testing::Values(intx, msi));

TEST(Driver8250, is_interrupted_for_each_burst_it_begins) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  Driver driver(card, 0);
  driver.start();
  for (int burst = 1; burst <= 100; ++burst) {
    driver.send({'x'});
    ASSERT_GT(serve_interrupts(card, {&driver}, intx), 0U) << burst;
    ASSERT_EQ(driver.received.size(), static_cast<std::size_t>(burst));
  }
}

TEST(Driver8250, hears_of_an_overrun_that_it_caused) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  Driver driver(card, 0);
  driver.start();
  for (int byte = 0; byte < 20; ++byte) driver.out(spec::thr, 'x');
  serve_interrupts(card, {&driver}, intx);
  EXPECT_EQ(driver.overruns, 1U);
  EXPECT_EQ(driver.received.size(), 16U);
}

}  // namespace
}  // namespace umdev::mtty
