// The chip, register by register. Names of tests are sentences of the data sheet.
#include "drivers/mtty/uart.h"

#include <gtest/gtest.h>

#include <vector>

namespace umdev::mtty {
namespace {

class UartTest : public testing::Test {
 public:
  std::uint8_t read(std::uint8_t offset) { return uart.read(offset); }
  void write(std::uint8_t offset, unsigned value) { uart.write(offset, static_cast<std::uint8_t>(value)); }
  void fifo_on(unsigned trigger_bits = 0) { write(spec::fcr, spec::fcr_enable_fifo | trigger_bits); }
  void send(unsigned count, unsigned first = 0) {
    for (unsigned byte = 0; byte < count; ++byte) write(spec::thr, first + byte);
  }
  std::vector<unsigned> receive_all() {
    std::vector<unsigned> bytes;
    while ((read(spec::lsr) & spec::lsr_dr) != 0) bytes.push_back(read(spec::rbr));
    return bytes;
  }
  static std::vector<unsigned> sequence(unsigned count, unsigned first = 0) {
    std::vector<unsigned> bytes;
    for (unsigned byte = 0; byte < count; ++byte) bytes.push_back(first + byte);
    return bytes;
  }

  Uart uart;
};

TEST_F(UartTest, registers_after_reset) {
  const unsigned expected[] = {0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00};
  for (std::uint8_t offset = 0; offset < 8; ++offset)
    EXPECT_EQ(read(offset), expected[offset]) << int{offset};
  EXPECT_FALSE(uart.interrupt());
}

TEST_F(UartTest, assignment_is_a_reset) {
  fifo_on();
  write(spec::ier, 0x0f);
  write(spec::mcr, spec::mcr_loop);
  write(spec::scr, 0x55);
  send(20);
  uart = Uart();
  const unsigned expected[] = {0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00};
  for (std::uint8_t offset = 0; offset < 8; ++offset)
    EXPECT_EQ(read(offset), expected[offset]) << int{offset};
}

TEST_F(UartTest, what_is_sent_is_received_in_order) {
  fifo_on();
  send(10, 0x41);
  EXPECT_EQ(receive_all(), sequence(10, 0x41));
}

TEST_F(UartTest, a_fifo_of_16_bytes_is_full_and_not_empty) {
  fifo_on();
  send(16);
  EXPECT_EQ(read(spec::lsr), spec::lsr_dr) << "data ready, no overrun, transmitter busy";
  EXPECT_EQ(receive_all(), sequence(16));
  EXPECT_EQ(read(spec::lsr), spec::lsr_thre | spec::lsr_temt);
}

TEST_F(UartTest, the_fifo_wraps_at_every_position) {
  fifo_on();
  for (unsigned start = 0; start < 40; ++start) {
    send(16, start);
    ASSERT_EQ(receive_all(), sequence(16, start));
    send(start % 16, start);
    ASSERT_EQ(receive_all(), sequence(start % 16, start));
  }
}

TEST_F(UartTest, a_byte_for_a_full_fifo_is_lost_and_reported_as_overrun) {
  fifo_on();
  send(17);
  EXPECT_EQ(read(spec::lsr), spec::lsr_dr | spec::lsr_oe);
  EXPECT_EQ(receive_all(), sequence(16));
}

TEST_F(UartTest, reading_lsr_clears_overrun_and_nothing_else_does) {
  fifo_on();
  send(17);
  read(spec::rbr);
  send(1);
  EXPECT_NE(read(spec::lsr) & spec::lsr_oe, 0)
      << "a byte that found room does not hide the one that was lost";
  EXPECT_EQ(read(spec::lsr) & spec::lsr_oe, 0);
}

TEST_F(UartTest, without_fifo_one_byte_is_held_and_the_next_one_writes_over_it) {
  send(1, 0x41);
  EXPECT_EQ(read(spec::lsr), spec::lsr_dr);
  send(1, 0x42);
  EXPECT_EQ(read(spec::lsr), spec::lsr_dr | spec::lsr_oe);
  EXPECT_EQ(receive_all(), sequence(1, 0x42));
}

TEST_F(UartTest, an_empty_receiver_shows_its_last_byte) {
  send(1, 0x41);
  read(spec::rbr);
  EXPECT_EQ(read(spec::rbr), 0x41);
  EXPECT_EQ(read(spec::lsr), spec::lsr_thre | spec::lsr_temt);
}

TEST_F(UartTest, dlab_shows_the_divisor_and_hides_data_and_ier) {
  write(spec::ier, 0x05);
  write(spec::lcr, spec::lcr_dlab | 0x03);
  write(spec::dll, 0x34);
  write(spec::dlm, 0x12);
  EXPECT_EQ(read(spec::dll), 0x34);
  EXPECT_EQ(read(spec::dlm), 0x12);
  write(spec::dll, 0x01);
  EXPECT_EQ(read(spec::dll), 0x01) << "a byte is replaced, not or-ed into";
  EXPECT_EQ(read(spec::dlm), 0x12);
  write(spec::lcr, 0x03);
  EXPECT_EQ(read(spec::ier), 0x05);
  EXPECT_EQ(read(spec::lsr), spec::lsr_thre | spec::lsr_temt) << "nothing was sent";
  write(spec::lcr, spec::lcr_dlab | 0x03);
  EXPECT_EQ(read(spec::dll) | read(spec::dlm) << 8, 0x1201) << "and it is still there";
}

TEST_F(UartTest, stored_registers_keep_the_bits_that_they_have) {
  const struct {
    std::uint8_t offset, bits;
  } registers[] = {{spec::ier, 0x0f}, {spec::lcr, 0xff}, {spec::mcr, 0x3f}, {spec::scr, 0xff}};
  for (const auto& row : registers) {
    SCOPED_TRACE(int{row.offset});
    write(row.offset, 0xff);
    EXPECT_EQ(read(row.offset), row.bits);
    write(row.offset, 0x00);
    EXPECT_EQ(read(row.offset), 0x00);
  }
}

TEST_F(UartTest, lsr_and_msr_are_read_only) {
  write(spec::lsr, 0xff);
  write(spec::msr, 0xff);
  EXPECT_EQ(read(spec::lsr), 0x60);
  EXPECT_EQ(read(spec::msr), 0xb0);
}

TEST_F(UartTest, iir_shows_whether_the_fifos_are_on) {
  EXPECT_EQ(read(spec::iir), 0x01);
  fifo_on();
  EXPECT_EQ(read(spec::iir), 0xc1);
  write(spec::fcr, 0);
  EXPECT_EQ(read(spec::iir), 0x01);
}

TEST_F(UartTest, clearing_or_switching_the_fifo_empties_it) {
  for (const unsigned fcr : {0x03U, 0x05U, 0x07U, 0x00U, 0x06U}) {
    SCOPED_TRACE(fcr);
    fifo_on();
    send(5);
    write(spec::fcr, fcr);
    EXPECT_EQ(read(spec::lsr), spec::lsr_thre | spec::lsr_temt);
  }
  send(1);
  fifo_on();
  EXPECT_TRUE(receive_all().empty()) << "switched on";
}

TEST_F(UartTest, a_write_to_fcr_that_clears_nothing_keeps_the_bytes) {
  fifo_on();
  send(5);
  fifo_on(0xc0);
  EXPECT_EQ(receive_all(), sequence(5));
}

TEST_F(UartTest, clear_bits_are_not_taken_over_without_the_enable_bit) {
  send(1, 0x41);
  write(spec::fcr, spec::fcr_clear_rcvr | spec::fcr_clear_xmit | 0xc0);
  EXPECT_EQ(receive_all(), sequence(1, 0x41));
}

TEST_F(UartTest, a_receiver_interrupt_shows_data_from_the_trigger_level_and_a_timeout_below) {
  const unsigned levels[] = {1, 4, 8, 14};
  for (unsigned bits = 0; bits < 4; ++bits) {
    uart = Uart();
    fifo_on(bits << 6);
    write(spec::ier, spec::ier_rdi);
    for (unsigned count = 1; count <= 16; ++count) {
      send(1);
      const unsigned expected = count >= levels[bits] ? spec::iir_rdi : spec::iir_rx_timeout;
      EXPECT_EQ(read(spec::iir), 0xc0 | expected) << "trigger " << levels[bits] << " count " << count;
    }
    receive_all();
    EXPECT_FALSE(uart.interrupt());
  }
}

TEST_F(UartTest, without_fifo_any_byte_is_a_receiver_interrupt) {
  write(spec::ier, spec::ier_rdi);
  EXPECT_FALSE(uart.interrupt());
  send(1);
  EXPECT_EQ(read(spec::iir), spec::iir_rdi);
  EXPECT_TRUE(uart.interrupt()) << "reading IIR does not take it back";
  read(spec::rbr);
  EXPECT_FALSE(uart.interrupt());
}

TEST_F(UartTest, enabling_thri_while_empty_interrupts_each_time_anew) {
  for (int round = 0; round < 3; ++round) {
    write(spec::ier, spec::ier_thri);
    EXPECT_TRUE(uart.interrupt());
    EXPECT_EQ(read(spec::iir), spec::iir_thri);
    EXPECT_EQ(read(spec::iir), spec::iir_no_int) << "reading IIR took it back";
    write(spec::ier, spec::ier_thri);
    EXPECT_FALSE(uart.interrupt()) << "it was on already";
    write(spec::ier, 0);
  }
}

TEST_F(UartTest, thri_comes_when_the_transmitter_becomes_empty) {
  fifo_on();
  write(spec::ier, spec::ier_thri);
  send(2);
  EXPECT_FALSE(uart.interrupt()) << "writing to THR took it back";
  read(spec::rbr);
  EXPECT_FALSE(uart.interrupt());
  read(spec::rbr);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_thri);
  send(3);
  write(spec::fcr, spec::fcr_enable_fifo | spec::fcr_clear_xmit);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_thri) << "cleared is empty";
}

TEST_F(UartTest, thri_enabled_while_busy_waits_for_empty) {
  fifo_on();
  send(1);
  write(spec::ier, spec::ier_thri);
  EXPECT_FALSE(uart.interrupt());
  read(spec::rbr);
  EXPECT_TRUE(uart.interrupt());
}

TEST_F(UartTest, line_status_interrupt_is_overrun_until_lsr_is_read) {
  fifo_on();
  write(spec::ier, spec::ier_rlsi);
  send(16);
  EXPECT_FALSE(uart.interrupt());
  send(1);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_rlsi);
  EXPECT_TRUE(uart.interrupt());
  read(spec::lsr);
  EXPECT_FALSE(uart.interrupt());
}

TEST_F(UartTest, modem_status_interrupt_is_a_delta_until_msr_is_read) {
  write(spec::ier, spec::ier_msi);
  EXPECT_FALSE(uart.interrupt()) << "a level is no delta";
  write(spec::mcr, spec::mcr_loop);
  EXPECT_EQ(read(spec::iir), spec::iir_msi);
  EXPECT_TRUE(uart.interrupt());
  EXPECT_EQ(read(spec::msr), spec::msr_dcts | spec::msr_ddsr | spec::msr_ddcd);
  EXPECT_EQ(read(spec::msr), 0) << "deltas are told once";
  EXPECT_FALSE(uart.interrupt());
}

TEST_F(UartTest, one_source_is_shown_at_a_time_in_the_order_of_the_data_sheet) {
  fifo_on();
  write(spec::mcr, spec::mcr_loop);
  send(17);
  write(spec::ier, 0x0f);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_rlsi);
  read(spec::lsr);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_rdi);
  receive_all();
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_thri);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_msi);
  read(spec::msr);
  EXPECT_EQ(read(spec::iir), 0xc0 | spec::iir_no_int);
}

TEST_F(UartTest, a_higher_source_does_not_take_thri_back) {
  fifo_on();
  write(spec::ier, spec::ier_thri | spec::ier_msi | spec::ier_rdi);
  read(spec::iir);
  send(1);
  read(spec::rbr);
  write(spec::ier, 0x0f);
  write(spec::fcr, 0);
  send(2);
  EXPECT_EQ(read(spec::iir), spec::iir_rlsi);
  read(spec::lsr);
  EXPECT_EQ(read(spec::iir), spec::iir_rdi);
  read(spec::rbr);
  EXPECT_EQ(read(spec::iir), spec::iir_thri);
}

TEST_F(UartTest, a_source_that_is_not_enabled_is_not_shown) {
  const struct {
    std::uint8_t enabled, shown;
  } rows[] = {{0x00, spec::iir_no_int}, {0x04, spec::iir_rlsi}, {0x01, spec::iir_rdi}, {0x08, spec::iir_msi}};
  for (const auto& row : rows) {
    SCOPED_TRACE(int{row.enabled});
    uart = Uart();
    fifo_on();
    write(spec::mcr, spec::mcr_loop);
    send(17);
    write(spec::ier, row.enabled);
    EXPECT_EQ(read(spec::iir), 0xc0 | row.shown);
    EXPECT_EQ(uart.interrupt(), row.enabled != 0);
  }
}

TEST_F(UartTest, loop_mode_wires_the_outputs_to_the_inputs) {
  const struct {
    std::uint8_t output, input;
  } wires[] = {{spec::mcr_rts, spec::msr_cts},
               {spec::mcr_dtr, spec::msr_dsr},
               {spec::mcr_out1, spec::msr_ri},
               {spec::mcr_out2, spec::msr_dcd}};
  for (unsigned outputs = 0; outputs < 16; ++outputs) {
    write(spec::mcr, spec::mcr_loop | outputs);
    unsigned expected = 0;
    for (const auto& wire : wires) expected |= (outputs & wire.output) != 0 ? wire.input : 0;
    EXPECT_EQ(read(spec::msr) & 0xf0, expected) << outputs;
  }
  write(spec::mcr, 0x0f);
  EXPECT_EQ(read(spec::msr) & 0xf0, 0xb0) << "outside of it the other end is there";
}

TEST_F(UartTest, ring_has_a_delta_at_its_trailing_edge_only) {
  write(spec::mcr, spec::mcr_loop);
  read(spec::msr);
  write(spec::mcr, spec::mcr_loop | spec::mcr_out1);
  EXPECT_EQ(read(spec::msr), spec::msr_ri);
  write(spec::mcr, spec::mcr_loop);
  EXPECT_EQ(read(spec::msr), spec::msr_teri);
}

TEST_F(UartTest, loop_mode_loops_data_as_the_line_does) {
  fifo_on();
  write(spec::mcr, spec::mcr_loop);
  send(16);
  EXPECT_EQ(receive_all(), sequence(16));
}

TEST_F(UartTest, automatic_flow_control_drops_cts_while_the_fifo_is_full) {
  fifo_on();
  write(spec::mcr, spec::mcr_afe);
  send(16);
  EXPECT_EQ(read(spec::msr), spec::msr_dcd | spec::msr_dsr | spec::msr_dcts);
  read(spec::rbr);
  EXPECT_EQ(read(spec::msr), spec::msr_dcd | spec::msr_dsr | spec::msr_cts | spec::msr_dcts);
}

}  // namespace
}  // namespace umdev::mtty
