// A 16550A whose line is a wire back to itself. State and rules only: no time, no device, no thread.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/mtty/spec.h"
#include "umdev/support/state_stream.h"

namespace umdev::mtty {

// What is sent arrives at once, and waits in the receiver's FIFO until it is read. Until then the transmitter
// counts as busy: a driver that sends when THRE is set, as all do, loses nothing however slowly it reads, and
// one that does not causes the overrun of the data sheet.
//
// Since the line is never busy, four character times have always passed: bytes below the trigger level are
// reported as a character timeout.
//
// A value: `uart = Uart()` is a reset. Not thread-safe.
class Uart {
 public:
  // `offset` is 0 to 7. Reading changes what the data sheet says it changes.
  std::uint8_t read(std::uint8_t offset);
  void write(std::uint8_t offset, std::uint8_t value);

  // The chip's INTR pin: the highest of the enabled conditions is in IIR.
  bool interrupt() const { return pending_source() != spec::iir_no_int; }

  // Everything of it as one section, and the chip that such a section describes: EINVAL for one that no chip
  // can be in the state of.
  void save(StreamWriter& stream) const;
  static Result<Uart> load(SectionReader section);
  static constexpr StreamTag section_tag{"uart"};
  static constexpr std::uint16_t section_version = 1;

 private:
  // A receiver FIFO; without FIFO mode it is the one receiver buffer register. The count tells full from
  // empty.
  struct Fifo {
    std::array<std::uint8_t, spec::fifo_depth> bytes{};
    std::uint8_t first = 0;
    std::uint8_t count = 0;

    void push(std::uint8_t byte);
    std::uint8_t pop();
  };

  bool dlab() const { return (lcr_ & spec::lcr_dlab) != 0; }
  bool fifo_mode() const { return (fcr_ & spec::fcr_enable_fifo) != 0; }
  bool looped() const { return (mcr_ & spec::mcr_loop) != 0; }
  bool full() const { return received_.count == (fifo_mode() ? spec::fifo_depth : 1); }
  std::uint8_t trigger_level() const;

  std::uint8_t pending_source() const;
  std::uint8_t read_receiver();
  std::uint8_t read_iir();
  std::uint8_t read_lsr();
  std::uint8_t read_msr();
  void transmit(std::uint8_t byte);
  void write_ier(std::uint8_t value);
  void write_fcr(std::uint8_t value);
  void empty_fifo();
  bool is_possible() const;
  std::uint8_t modem_inputs() const;
  void note_modem_changes();

  Fifo received_;
  std::uint8_t last_received_ = 0;  // what the receiver buffer shows while it is empty
  std::uint8_t ier_ = 0;
  std::uint8_t fcr_ = 0;
  std::uint8_t lcr_ = 0;
  std::uint8_t mcr_ = 0;
  std::uint8_t scr_ = 0;
  std::uint8_t dll_ = 0;
  std::uint8_t dlm_ = 0;
  bool overrun_ = false;
  bool thr_interrupt_ = false;  // the transmitter became empty, and nobody was told yet
  std::uint8_t modem_inputs_ = spec::msr_dcd | spec::msr_dsr | spec::msr_cts;
  std::uint8_t modem_deltas_ = 0;
};

}  // namespace umdev::mtty
