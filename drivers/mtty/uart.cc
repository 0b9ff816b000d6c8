#include "drivers/mtty/uart.h"

namespace umdev::mtty {

void Uart::Fifo::push(std::uint8_t byte) {
  bytes[(first + count) % bytes.size()] = byte;
  ++count;
}

std::uint8_t Uart::Fifo::pop() {
  const std::uint8_t byte = bytes[first];
  first = static_cast<std::uint8_t>((first + 1) % bytes.size());
  --count;
  return byte;
}

std::uint8_t Uart::read(std::uint8_t offset) {
  switch (offset) {
    case spec::rbr:
      return dlab() ? dll_ : read_receiver();
    case spec::ier:
      return dlab() ? dlm_ : ier_;
    case spec::iir:
      return read_iir();
    case spec::lcr:
      return lcr_;
    case spec::mcr:
      return mcr_;
    case spec::lsr:
      return read_lsr();
    case spec::msr:
      return read_msr();
    case spec::scr:
      return scr_;
    default:
      return 0xff;
  }
}

void Uart::write(std::uint8_t offset, std::uint8_t value) {
  switch (offset) {
    case spec::thr:
      if (dlab())
        dll_ = value;
      else
        transmit(value);
      break;
    case spec::ier:
      if (dlab())
        dlm_ = value;
      else
        write_ier(value);
      break;
    case spec::fcr:
      write_fcr(value);
      break;
    case spec::lcr:
      lcr_ = value;
      break;
    case spec::mcr:
      mcr_ = value & spec::mcr_mask;
      note_modem_changes();
      break;
    case spec::scr:
      scr_ = value;
      break;
    default:  // LSR and MSR are read-only
      break;
  }
}

std::uint8_t Uart::trigger_level() const {
  return fifo_mode() ? spec::trigger_levels[fcr_ >> spec::fcr_trigger_shift] : std::uint8_t{1};
}

// The data sheet's table of priorities, highest first. One source is shown at a time.
std::uint8_t Uart::pending_source() const {
  if ((ier_ & spec::ier_rlsi) != 0 && overrun_) return spec::iir_rlsi;
  if ((ier_ & spec::ier_rdi) != 0 && received_.count != 0)
    return received_.count >= trigger_level() ? spec::iir_rdi : spec::iir_rx_timeout;
  if ((ier_ & spec::ier_thri) != 0 && thr_interrupt_) return spec::iir_thri;
  if ((ier_ & spec::ier_msi) != 0 && modem_deltas_ != 0) return spec::iir_msi;
  return spec::iir_no_int;
}

std::uint8_t Uart::read_iir() {
  const std::uint8_t source = pending_source();
  if (source == spec::iir_thri) thr_interrupt_ = false;
  return fifo_mode() ? source | spec::iir_fifo_enabled : source;
}

std::uint8_t Uart::read_receiver() {
  if (received_.count == 0) return last_received_;
  last_received_ = received_.pop();
  if (received_.count == 0) thr_interrupt_ = true;
  note_modem_changes();
  return last_received_;
}

// Never reaches the wire's other end while that is full. In FIFO mode the byte is lost; without it the
// receiver buffer is written over.
void Uart::transmit(std::uint8_t byte) {
  thr_interrupt_ = false;
  if (full()) {
    overrun_ = true;
    if (fifo_mode()) return;
    received_.pop();
  }
  received_.push(byte);
  note_modem_changes();
}

// Enabling THRI while the transmitter is empty interrupts at once, each time anew: drivers rely on it to
// start sending, and test for it.
void Uart::write_ier(std::uint8_t value) {
  const std::uint8_t enabled = value & ~ier_;
  ier_ = value & spec::ier_mask;
  if ((enabled & spec::ier_thri) != 0 && received_.count == 0) thr_interrupt_ = true;
}

// Without the enable bit no other bit is taken over; switching it either way empties the FIFO.
void Uart::write_fcr(std::uint8_t value) {
  const bool enable = (value & spec::fcr_enable_fifo) != 0;
  const bool clear = (value & (spec::fcr_clear_rcvr | spec::fcr_clear_xmit)) != 0;
  if (enable != fifo_mode() || (enable && clear)) empty_fifo();
  fcr_ = enable ? value & (spec::fcr_enable_fifo | spec::fcr_trigger_mask) : 0;
  note_modem_changes();
}

void Uart::empty_fifo() {
  if (received_.count != 0) thr_interrupt_ = true;
  received_ = Fifo();
}

std::uint8_t Uart::read_lsr() {
  std::uint8_t status = received_.count != 0 ? spec::lsr_dr : spec::lsr_thre | spec::lsr_temt;
  if (overrun_) status |= spec::lsr_oe;
  overrun_ = false;
  return status;
}

std::uint8_t Uart::read_msr() {
  const std::uint8_t status = modem_inputs_ | modem_deltas_;
  modem_deltas_ = 0;
  return status;
}

// In loop mode the outputs of MCR are wired to the inputs, as the data sheet draws it. Otherwise the other
// end is always there, and ready unless automatic flow control is on and the FIFO is full.
std::uint8_t Uart::modem_inputs() const {
  if (!looped()) {
    const bool stopped = (mcr_ & spec::mcr_afe) != 0 && full();
    return spec::msr_dcd | spec::msr_dsr | (stopped ? 0 : spec::msr_cts);
  }
  return static_cast<std::uint8_t>(
      ((mcr_ & spec::mcr_rts) != 0 ? spec::msr_cts : 0) | ((mcr_ & spec::mcr_dtr) != 0 ? spec::msr_dsr : 0) |
      ((mcr_ & spec::mcr_out1) != 0 ? spec::msr_ri : 0) | ((mcr_ & spec::mcr_out2) != 0 ? spec::msr_dcd : 0));
}

// Each input has a delta bit four places below; that of RI tells its trailing edge only.
void Uart::note_modem_changes() {
  const std::uint8_t now = modem_inputs();
  const std::uint8_t changed = now ^ modem_inputs_;
  const std::uint8_t risen_ri = now & changed & spec::msr_ri;
  modem_deltas_ |= static_cast<std::uint8_t>((changed & ~risen_ri) >> 4);
  modem_inputs_ = now;
}

// --- Moving.

void Uart::save(StreamWriter& stream) const {
  stream.begin(section_tag, section_version);
  for (const std::uint8_t value :
       {ier_, fcr_, lcr_, mcr_, scr_, dll_, dlm_, last_received_, modem_inputs_, modem_deltas_})
    stream.put(value);
  stream.put_flag(overrun_);
  stream.put_flag(thr_interrupt_);
  // What waits to be read, the oldest first.
  stream.put(received_.count);
  for (Fifo waiting = received_; waiting.count != 0;) stream.put(waiting.pop());
}

Result<Uart> Uart::load(SectionReader section) {
  Uart uart;
  for (std::uint8_t* const value :
       {&uart.ier_, &uart.fcr_, &uart.lcr_, &uart.mcr_, &uart.scr_, &uart.dll_, &uart.dlm_,
        &uart.last_received_, &uart.modem_inputs_, &uart.modem_deltas_})
    *value = UMDEV_TRY(section.get<std::uint8_t>());
  uart.overrun_ = UMDEV_TRY(section.get_flag());
  uart.thr_interrupt_ = UMDEV_TRY(section.get_flag());
  const auto waiting = UMDEV_TRY(section.get<std::uint8_t>());
  if (waiting > (uart.fifo_mode() ? spec::fifo_depth : 1))
    return fail(EINVAL, "more bytes than the FIFO holds");
  for (unsigned i = 0; i < waiting; ++i) uart.received_.push(UMDEV_TRY(section.get<std::uint8_t>()));
  UMDEV_TRY(section.end());
  if (!uart.is_possible()) return fail(EINVAL, "registers that no chip has");
  return uart;
}

// Could registers have these values together?
bool Uart::is_possible() const {
  constexpr std::uint8_t fcr_bits = spec::fcr_enable_fifo | spec::fcr_trigger_mask;
  return (ier_ & ~spec::ier_mask) == 0 && (mcr_ & ~spec::mcr_mask) == 0 && (fcr_ & ~fcr_bits) == 0 &&
         (fifo_mode() || fcr_ == 0) && (modem_deltas_ & ~spec::msr_deltas) == 0 &&
         modem_inputs_ == modem_inputs();
}

}  // namespace umdev::mtty
