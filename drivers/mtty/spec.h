// Names of the 16550A's data sheet, and of the serial card that carries one or two of them. Nothing else.
#pragma once

#include <cstdint>

namespace umdev::mtty::spec {

// The eight registers of a 16550A, by their offset. With LCR's DLAB set, the first two are the divisor latch.
inline constexpr std::uint8_t rbr = 0;  // read: receiver buffer
inline constexpr std::uint8_t thr = 0;  // write: transmitter holding register
inline constexpr std::uint8_t ier = 1;  // interrupt enable
inline constexpr std::uint8_t iir = 2;  // read: interrupt identification
inline constexpr std::uint8_t fcr = 2;  // write: FIFO control
inline constexpr std::uint8_t lcr = 3;  // line control
inline constexpr std::uint8_t mcr = 4;  // modem control
inline constexpr std::uint8_t lsr = 5;  // line status
inline constexpr std::uint8_t msr = 6;  // modem status
inline constexpr std::uint8_t scr = 7;  // scratch
inline constexpr std::uint8_t dll = 0;  // divisor latch, low byte
inline constexpr std::uint8_t dlm = 1;  // divisor latch, high byte
inline constexpr std::uint8_t uart_registers = 8;

inline constexpr std::uint8_t ier_rdi = 0x01;   // receiver data
inline constexpr std::uint8_t ier_thri = 0x02;  // transmitter holding register empty
inline constexpr std::uint8_t ier_rlsi = 0x04;  // receiver line status
inline constexpr std::uint8_t ier_msi = 0x08;   // modem status
inline constexpr std::uint8_t ier_mask = 0x0f;

inline constexpr std::uint8_t iir_no_int = 0x01;
inline constexpr std::uint8_t iir_msi = 0x00;
inline constexpr std::uint8_t iir_thri = 0x02;
inline constexpr std::uint8_t iir_rdi = 0x04;
inline constexpr std::uint8_t iir_rlsi = 0x06;
inline constexpr std::uint8_t iir_rx_timeout = 0x0c;
inline constexpr std::uint8_t iir_fifo_enabled = 0xc0;

inline constexpr std::uint8_t fcr_enable_fifo = 0x01;
inline constexpr std::uint8_t fcr_clear_rcvr = 0x02;
inline constexpr std::uint8_t fcr_clear_xmit = 0x04;
inline constexpr std::uint8_t fcr_trigger_mask = 0xc0;
inline constexpr std::uint8_t fcr_trigger_shift = 6;
// How many bytes bits 7 and 6 of FCR stand for.
inline constexpr std::uint8_t trigger_levels[] = {1, 4, 8, 14};
inline constexpr std::uint8_t fifo_depth = 16;

inline constexpr std::uint8_t lcr_dlab = 0x80;

inline constexpr std::uint8_t mcr_dtr = 0x01;
inline constexpr std::uint8_t mcr_rts = 0x02;
inline constexpr std::uint8_t mcr_out1 = 0x04;
inline constexpr std::uint8_t mcr_out2 = 0x08;
inline constexpr std::uint8_t mcr_loop = 0x10;
inline constexpr std::uint8_t mcr_afe = 0x20;  // automatic flow control, of the 16550C
inline constexpr std::uint8_t mcr_mask = 0x3f;

inline constexpr std::uint8_t lsr_dr = 0x01;    // data ready
inline constexpr std::uint8_t lsr_oe = 0x02;    // overrun error
inline constexpr std::uint8_t lsr_thre = 0x20;  // transmitter holding register empty
inline constexpr std::uint8_t lsr_temt = 0x40;  // transmitter empty

inline constexpr std::uint8_t msr_dcts = 0x01;
inline constexpr std::uint8_t msr_ddsr = 0x02;
inline constexpr std::uint8_t msr_teri = 0x04;
inline constexpr std::uint8_t msr_ddcd = 0x08;
inline constexpr std::uint8_t msr_cts = 0x10;
inline constexpr std::uint8_t msr_dsr = 0x20;
inline constexpr std::uint8_t msr_ri = 0x40;
inline constexpr std::uint8_t msr_dcd = 0x80;
inline constexpr std::uint8_t msr_deltas = 0x0f;

// The card. Each port is one BAR of eight I/O ports.
inline constexpr std::uint16_t vendor_id = 0x4348;
inline constexpr std::uint16_t device_id = 0x3253;
inline constexpr std::uint32_t class_code = 0x070002;  // serial controller, 16550 compatible
inline constexpr std::uint8_t revision = 0x10;
inline constexpr std::uint8_t interrupt_pin = 1;  // INTA
inline constexpr unsigned ports_max = 2;
// The vendor's own bytes of configuration space.
inline constexpr std::uint16_t vendor_registers = 0x40;
inline constexpr std::uint8_t vendor_register_values[] = {0x23, 0,    0, 0x80, 0x23, 0,   0,
                                                          0,    0x23, 0, 0,    0,    0x23};
inline constexpr std::uint16_t vendor_text = 0x60;
inline constexpr char vendor_text_value[] = "PCI Serial/UART";

}  // namespace umdev::mtty::spec
