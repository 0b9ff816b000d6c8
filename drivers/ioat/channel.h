// One channel of the engine. State and rules only: no memory, no time, no device, no thread.
#pragma once

#include <cstdint>
#include <optional>

#include "drivers/ioat/descriptor.h"
#include "drivers/ioat/spec.h"
#include "umdev/support/state_stream.h"

namespace umdev::ioat {

// The user's side is its registers. The engine's side takes one descriptor after another:
//
//   begin()       which one is next, if the channel may go on; until finish() it is under way
//   completion()  what is to be written, and where, before anybody is told that it is done
//   finish()      it is done, or it has an error, which halts the channel
//
// A reset or a new chain while a descriptor is under way takes effect at once; what is under way is
// cancelled(), and its finish() changes nothing. A value: `channel = Channel()` is a power-on. Not
// thread-safe.
class Channel {
 public:
  // --- The user's side. The access lies inside the channel's spec::channel_size bytes.
  void read(std::uint16_t offset, Bytes into) const;
  void write(std::uint16_t offset, ConstBytes from);

  // --- The engine's side.
  bool has_work() const { return state_ == spec::State::active && !under_way_; }
  // Precondition: has_work(). The address of the descriptor.
  std::uint64_t begin();
  bool cancelled() const { return cancelled_; }
  struct Completion {
    std::uint64_t address = 0;
    std::uint64_t status = 0;
  };
  // For the descriptor under way, with the CHANERR bits that it has ended with.
  std::optional<Completion> completion(const Descriptor& descriptor, std::uint32_t error) const;
  void finish(const Descriptor& descriptor, std::uint32_t error);

  // An interrupt is due; it is due no more then.
  bool take_interrupt();

  // Everything of it as one section, with no descriptor under way; and the channel that such a section
  // describes: EINVAL for one that no channel can be in the state of.
  void save(StreamWriter& stream) const;
  static Result<Channel> load(SectionReader section);
  static constexpr StreamTag section_tag{"chan"};
  static constexpr std::uint16_t section_version = 1;

 private:
  // How many of the descriptors that the user has queued are left.
  std::uint16_t left() const { return static_cast<std::uint16_t>(count_ - done_); }
  std::uint64_t status() const;
  spec::State state_after_done() const;

  void write_register(std::uint16_t offset, std::uint64_t value, std::uint64_t mask);
  void write_control(std::uint16_t value, std::uint16_t mask);
  void write_count(std::uint16_t count);
  void write_chain(std::uint64_t address);
  void command(std::uint8_t bits);
  void reset();
  void cancel() { cancelled_ = under_way_; }
  void fail_with(std::uint32_t error);
  void interrupt();
  bool is_possible() const;

  std::uint16_t control_ = 0;
  std::uint16_t count_ = 0;  // DMACOUNT: how many were queued in all
  std::uint16_t done_ = 0;   // and how many of these are done
  std::uint64_t chain_ = 0;
  std::uint64_t completion_ = 0;
  std::uint32_t error_ = 0;
  std::uint32_t error_mask_ = 0;
  std::uint32_t dca_ = 0;
  std::uint64_t last_ = 0;  // the address of the last descriptor done
  std::uint64_t next_ = 0;
  spec::State state_ = spec::State::halted;

  bool interrupt_ = false;
  bool held_back_ = false;  // an interrupt, because the user has not armed it again
  bool suspend_ = false;    // asked for while a descriptor is under way
  bool under_way_ = false;
  bool cancelled_ = false;
  bool resetting_ = false;  // the reset is over when what it has cancelled is
};

}  // namespace umdev::ioat
