// The card around the chips: configuration space, regions, interrupts, reset.
#include "drivers/mtty/mtty.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/mtty/card.h"

namespace umdev::mtty {
namespace {

using test::error_of;
using test::read_bytes;
using test::read_register;
using test::write_bytes;
using test::write_register;

TEST(MttyConfig, bytes_at_power_on) {
  Card card;
  std::vector<std::uint8_t> expected(256);
  const auto put = [&](std::size_t at, std::initializer_list<std::uint8_t> bytes) {
    std::ranges::copy(bytes, expected.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(0x00, {0x48, 0x43, 0x53, 0x32, 0x01, 0x00, 0x00, 0x02, 0x10, 0x02, 0x00, 0x07});
  put(0x10, {0x01, 0, 0, 0, 0x01, 0, 0, 0});
  put(0x2c, {0x48, 0x43, 0x53, 0x32});
  put(0x3d, {0x01});
  put(0x40, {0x23, 0, 0, 0x80, 0x23, 0, 0, 0, 0x23, 0, 0, 0, 0x23});
  const std::string text = "PCI Serial/UART";
  std::ranges::copy(text, expected.begin() + 0x60);
  const auto bytes = read_bytes(*card.device, card.user, config, 0, 256).value();
  for (std::size_t at = 0; at < 256; ++at)
    EXPECT_EQ(std::to_integer<int>(bytes[at]), expected[at]) << "byte " << at;
}

TEST(MttyConfig, a_card_with_one_port_has_one_bar) {
  Card card(1);
  EXPECT_EQ(card.config_read<std::uint32_t>(0x10), 1U);
  EXPECT_EQ(card.config_read<std::uint32_t>(0x14), 0U);
}

struct WriteRow {
  unsigned ports;
  std::uint16_t offset;
  std::uint32_t value;
  std::uint32_t reads;
};

class MttyConfigWrite : public testing::TestWithParam<WriteRow> {};

TEST_P(MttyConfigWrite, reads_back) {
  const WriteRow& row = GetParam();
  Card card(row.ports);
  card.config_write<std::uint32_t>(row.offset, row.value);
  EXPECT_EQ(card.config_read<std::uint32_t>(row.offset), row.reads);
}

INSTANTIATE_TEST_SUITE_P(all, MttyConfigWrite,
                         testing::Values(WriteRow{2, 0x00, 0xffffffff, 0x32534348},  // ids
                                         WriteRow{2, 0x04, 0xffffffff, 0x02000001},  // command and status
                                         WriteRow{2, 0x04, 0x00000000, 0x02000001},  //
                                         WriteRow{2, 0x08, 0xffffffff, 0x07000210},  // class and revision
                                         WriteRow{2, 0x0c, 0xffffffff, 0x00000000},  //
                                         WriteRow{2, 0x10, 0xffffffff, 0xfffffff9},  // BAR sizing
                                         WriteRow{2, 0x10, 0x0000c000, 0x0000c001},  // BAR address
                                         WriteRow{2, 0x14, 0xffffffff, 0xfffffff9},  //
                                         WriteRow{2, 0x14, 0x0000c008, 0x0000c009},  //
                                         WriteRow{1, 0x14, 0xffffffff,
                                                  0x00000000},  // the port that is not there
                                         WriteRow{2, 0x18, 0xffffffff, 0x00000000},  //
                                         WriteRow{2, 0x1c, 0xffffffff, 0x00000000},  //
                                         WriteRow{2, 0x20, 0xffffffff, 0x00000000},  //
                                         WriteRow{2, 0x24, 0xffffffff, 0x00000000},  //
                                         WriteRow{2, 0x2c, 0xffffffff, 0x32534348},  // subsystem
                                         WriteRow{2, 0x30, 0xfffff800, 0x00000000},  // no ROM
                                         WriteRow{2, 0x34, 0xffffffff, 0x00000000},  // no capabilities
                                         WriteRow{2, 0x3c, 0xffffff0b, 0x0000010b},  // line, pin
                                         WriteRow{2, 0x40, 0xffffffff, 0x80000023},  // the vendor's
                                         WriteRow{2, 0xfc, 0xffffffff, 0x00000000}));

TEST(MttyConfig, bytes_of_a_bar_can_be_written_one_by_one) {
  Card card;
  card.config_write<std::uint8_t>(0x11, 0xc0);
  card.config_write<std::uint8_t>(0x10, 0x1f);
  EXPECT_EQ(card.config_read<std::uint32_t>(0x10), 0x0000c019U);
}

// --- What the kernel's sample does wrong.

TEST(MttyBugs, config_space_has_256_bytes_and_nothing_behind_them) {
  Card card;
  EXPECT_EQ(card.device->region_info(config)->size, 256U);
  EXPECT_EQ(card.config_read<std::uint32_t>(0xfc), 0U);
  const struct {
    std::uint64_t offset;
    std::size_t size;
  } outside[] = {{0xfd, 4}, {0xff, 2}, {0x100, 1}, {0x1000, 4}, {~0ULL, 1}, {0, 257}};
  for (const auto& range : outside) {
    EXPECT_EQ(error_of(read_bytes(*card.device, card.user, config, range.offset, range.size)), EINVAL);
    const std::vector<std::byte> data(range.size);
    EXPECT_EQ(error_of(write_bytes(*card.device, card.user, config, range.offset, data)), EINVAL);
  }
}

TEST(MttyBugs, bars_without_a_port_have_no_size_and_cannot_be_accessed) {
  for (const unsigned ports : {1U, 2U}) {
    Card card(ports);
    for (std::uint32_t bar = 0; bar < 6; ++bar) {
      SCOPED_TRACE(bar);
      const bool there = bar < ports;
      EXPECT_EQ(card.device->region_info(bar)->size, there ? 8U : 0U);
      EXPECT_EQ(error_of(read_register<std::uint8_t>(*card.device, card.user, bar, 7)), there ? 0 : EINVAL);
      EXPECT_EQ(error_of(write_register<std::uint8_t>(*card.device, card.user, bar, 7, 1)),
                there ? 0 : EINVAL);
      EXPECT_EQ(error_of(read_register<std::uint8_t>(*card.device, card.user, bar, 8)), EINVAL);
    }
  }
}

TEST(MttyBugs, a_full_fifo_is_not_empty) {
  Card card;
  card.out(0, spec::fcr, spec::fcr_enable_fifo);
  for (unsigned byte = 0; byte < 16; ++byte) card.out(0, spec::thr, byte);
  EXPECT_EQ(card.in(0, spec::lsr) & (spec::lsr_dr | spec::lsr_thre), spec::lsr_dr);
  for (unsigned byte = 0; byte < 16; ++byte) EXPECT_EQ(card.in(0, spec::rbr), byte);
}

TEST(MttyBugs, irq_infos_and_set_irqs_need_no_call_before_them) {
  const auto device = Mtty::create(1);
  const vfio::IrqInfo line = device->irq_info(intx).value();
  EXPECT_EQ(line.flags,
            abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked);
  EXPECT_EQ(line.count, 1U);
  const vfio::IrqInfo message = device->irq_info(msi).value();
  EXPECT_EQ(message.flags, abi::vfio_irq_info_eventfd | abi::vfio_irq_info_noresize);
  EXPECT_EQ(message.count, 1U);
  test::FakeUser user(*device);
  EXPECT_TRUE(user.irq().listen(intx));
  EXPECT_EQ(device->info().num_irqs, 5U);
}

TEST(MttyBugs, an_interrupt_while_masked_is_not_lost) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  card.out(0, spec::ier, spec::ier_rdi);
  card.out(0, spec::thr, 'a');
  EXPECT_EQ(card.user.irq().take(intx), 1U) << "and the line is masked now";
  EXPECT_EQ(card.in(0, spec::rbr), 'a');
  card.out(0, spec::thr, 'b');
  EXPECT_EQ(card.user.irq().take(intx), 0U);
  card.unmask();
  EXPECT_EQ(card.user.irq().take(intx), 1U);
}

TEST(MttyBugs, divisor_bytes_are_stored_and_not_or_ed) {
  Card card;
  card.out(0, spec::lcr, spec::lcr_dlab);
  card.out(0, spec::dll, 0xf0);
  card.out(0, spec::dll, 0x0f);
  EXPECT_EQ(card.in(0, spec::dll), 0x0f);
}

// --- Regions.

TEST(MttyRegions, none_can_be_mapped) {
  Card card;
  for (std::uint32_t index = 0; index < 9; ++index) {
    EXPECT_EQ(card.device->region_info(index)->flags & abi::vfio_region_info_flag_mmap, 0U);
    EXPECT_EQ(error_of(card.device->mmap(card.user, {.region = index, .offset = 0, .length = 4096})), EINVAL);
  }
}

TEST(MttyRegions, a_wider_access_is_one_access_a_byte) {
  Card card;
  card.out(0, spec::fcr, spec::fcr_enable_fifo);
  ASSERT_TRUE(write_register<std::uint16_t>(*card.device, card.user, 0, spec::lcr, 0x0a1b));
  EXPECT_EQ(card.in(0, spec::lcr), 0x1b);
  EXPECT_EQ(card.in(0, spec::mcr), 0x0a);
  EXPECT_EQ(*read_register<std::uint64_t>(*card.device, card.user, 0, 0), 0x00b0600a1bc10000U);
}

TEST(MttyRegions, ports_do_not_see_each_other) {
  Card card;
  card.out(0, spec::scr, 1);
  card.out(1, spec::scr, 2);
  card.out(0, spec::thr, 'a');
  EXPECT_EQ(card.in(0, spec::scr), 1);
  EXPECT_EQ(card.in(1, spec::scr), 2);
  EXPECT_EQ(card.in(1, spec::lsr) & spec::lsr_dr, 0);
}

// --- Interrupts.

TEST(MttyInterrupts, intx_is_high_while_any_port_interrupts) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  for (unsigned port = 0; port < 2; ++port) {
    card.out(port, spec::ier, spec::ier_rdi);
    card.out(port, spec::thr, 'a');
  }
  EXPECT_EQ(card.user.irq().take(intx), 1U);
  card.unmask();
  EXPECT_EQ(card.user.irq().take(intx), 1U) << "both ports";
  card.in(0, spec::rbr);
  card.unmask();
  EXPECT_EQ(card.user.irq().take(intx), 1U) << "the second port still";
  card.in(1, spec::rbr);
  card.unmask();
  EXPECT_EQ(card.user.irq().take(intx), 0U) << "none";
}

TEST(MttyInterrupts, a_line_that_was_lowered_while_masked_does_not_signal) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  ASSERT_TRUE(card.user.irq().none(abi::vfio_irq_set_action_mask, intx));
  card.out(0, spec::ier, spec::ier_rdi);
  card.out(0, spec::thr, 'a');
  card.in(0, spec::rbr);
  card.unmask();
  EXPECT_EQ(card.user.irq().take(intx), 0U);
}

TEST(MttyInterrupts, a_line_that_is_high_signals_as_soon_as_intx_is_set_up) {
  Card card;
  card.out(0, spec::ier, spec::ier_rdi);
  card.out(0, spec::thr, 'a');
  ASSERT_TRUE(card.user.irq().listen(intx));
  EXPECT_EQ(card.user.irq().take(intx), 1U);
}

TEST(MttyInterrupts, msi_is_sent_when_a_port_begins_to_interrupt) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(msi));
  for (unsigned port = 0; port < 2; ++port) card.out(port, spec::ier, spec::ier_rdi);
  card.out(0, spec::thr, 'a');
  EXPECT_EQ(card.user.irq().take(msi), 1U);
  card.out(0, spec::scr, 1);
  EXPECT_EQ(card.user.irq().take(msi), 0U) << "it is an edge";
  card.out(1, spec::thr, 'b');
  EXPECT_EQ(card.user.irq().take(msi), 1U) << "the other port";
  card.in(0, spec::rbr);
  card.out(0, spec::thr, 'c');
  EXPECT_EQ(card.user.irq().take(msi), 1U) << "the first one anew";
}

TEST(MttyInterrupts, intx_and_msi_exclude_one_another) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  EXPECT_EQ(error_of(card.user.irq().listen(msi)), EINVAL);
  ASSERT_TRUE(card.user.irq().disable(intx));
  EXPECT_TRUE(card.user.irq().listen(msi));
}

TEST(MttyInterrupts, B10_the_user_is_asked_to_let_go) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(abi::vfio_pci_req_irq_index));
  card.device->request(1);
  EXPECT_EQ(card.user.irq().take(abi::vfio_pci_req_irq_index), 1U);
}

// --- Reset and close.

TEST(MttyReset, puts_the_chips_to_power_on_and_keeps_the_interrupt_set_up) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(intx));
  card.out(1, spec::fcr, spec::fcr_enable_fifo);
  card.out(1, spec::ier, spec::ier_rdi);
  card.out(1, spec::scr, 0x55);
  card.out(1, spec::thr, 'a');
  card.user.irq().take(intx);
  card.reset();
  const unsigned expected[] = {0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00};
  for (std::uint8_t offset = 0; offset < 8; ++offset) EXPECT_EQ(card.in(1, offset), expected[offset]);
  card.unmask();
  EXPECT_EQ(card.user.irq().take(intx), 0U) << "nothing pending";
  card.out(1, spec::ier, spec::ier_thri);
  EXPECT_EQ(card.user.irq().take(intx), 1U) << "still set up";
}

TEST(MttyReset, msi_comes_again_after_a_reset_while_interrupting) {
  Card card;
  ASSERT_TRUE(card.user.irq().listen(msi));
  card.out(0, spec::ier, spec::ier_thri);
  card.reset();
  card.user.irq().take(msi);
  card.out(0, spec::ier, spec::ier_thri);
  EXPECT_EQ(card.user.irq().take(msi), 1U);
}

TEST(MttyReset, the_next_user_finds_nothing_of_the_last_one) {
  Card card;
  card.out(0, spec::fcr, spec::fcr_enable_fifo);
  card.out(0, spec::thr, 's');
  card.out(0, spec::scr, 0x55);
  card.config_write<std::uint32_t>(0x10, 0xc000);
  card.close();
  card.open();
  EXPECT_EQ(card.in(0, spec::lsr) & spec::lsr_dr, 0);
  EXPECT_EQ(card.in(0, spec::rbr), 0) << "not even in the receiver buffer";
  EXPECT_EQ(card.in(0, spec::scr), 0);
  EXPECT_EQ(card.config_read<std::uint32_t>(0x10), 1U);
}

}  // namespace
}  // namespace umdev::mtty
