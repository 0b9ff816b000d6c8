// The registers of the whole engine: its channels, and how their interrupts become the function's. State and
// rules only, as a channel.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "drivers/ioat/channel.h"
#include "umdev/support/bytes.h"

namespace umdev::ioat {

// What the function is to tell its user.
struct Signals {
  std::uint32_t channels = 0;  // a bit for each channel that sends a message of its own
  std::optional<bool> line;    // the level of the one interrupt of all channels, where it has changed
};

// Not thread-safe.
class Engine {
 public:
  // 1 to spec::channels_max.
  explicit Engine(unsigned channels) : channels_(channels) {}

  // An access of any size that lies inside the registers' BAR. Reading INTRCTRL and ATTNSTATUS changes them.
  void read(std::uint64_t offset, Bytes into);
  void write(std::uint64_t offset, ConstBytes from);

  unsigned channel_count() const { return static_cast<unsigned>(channels_.size()); }
  Channel& channel(unsigned index) { return channels_[index]; }

  // To be asked after each of the calls above and each finish() of a channel.
  Signals take_signals();

  // The level of the one interrupt of all channels, as take_signals() has told it last.
  bool is_line_high() const { return line_; }

  // Back to power-on.
  void reset() { *this = Engine(channel_count()); }

  // Everything of it, with no descriptor under way; EINVAL, and nothing has changed, for what is no state of
  // such an engine.
  void save(StreamWriter& stream) const;
  Result<> load(StreamReader& stream);

 private:
  void read_general(std::uint64_t offset, Bytes into);
  void write_general(std::uint64_t offset, ConstBytes from);
  bool line() const;
  bool sends_by_channel() const { return (control_ & spec::intrctrl_msix_vector_control) != 0; }

  std::vector<Channel> channels_;
  std::uint8_t general_control_ = 0;
  std::uint8_t control_ = 0;  // INTRCTRL, without the bits that say what is
  std::uint32_t attention_ = 0;
  std::uint16_t delay_ = 0;
  bool line_ = false;  // as it was told last
};

}  // namespace umdev::ioat
