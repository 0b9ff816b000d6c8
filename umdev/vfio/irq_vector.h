// One interrupt vector: the line, the mask, what is pending, and the eventfd, in one word that any thread
// changes without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "umdev/os/event_fd.h"
#include "umdev/vfio/irq_setup.h"

namespace umdev::vfio {

// Two sides meet here. The device's side (raise_line, lower_line, pulse) may be called from any thread and
// takes no lock. The user's side (the rest) is called by one thread at a time: the IrqSet holds a lock over
// it.
//
// Two sources make a vector deliver: the line, which stays until it is lowered, and a pulse, which is
// remembered while the vector is masked and is gone once it is delivered. A delivery signals the eventfd
// once, and masks an automasked vector.
class IrqVector {
 public:
  IrqVector() = default;
  IrqVector(const IrqVector&) = delete;
  IrqVector& operator=(const IrqVector&) = delete;

  // Only before the first use.
  void set_automasked(bool automasked) { automasked_ = automasked; }

  // The line of a level-triggered vector. It is the device's, whatever the user sets up: a line that is high
  // delivers as soon as there is an unmasked eventfd.
  void raise_line();
  void lower_line();
  // One event. Without an eventfd it is lost, as an edge is.
  void pulse();

  // Replaces the eventfd; an empty one makes the vector silent. When it returns, the old eventfd is closed,
  // and no signal to it is under way on any thread.
  void set_trigger(os::EventFd trigger);
  void mask();
  void unmask();
  // Signals the eventfd, if there is one, whatever the mask says, and changes nothing (SET_IRQS as a
  // loop-back test).
  void signal();
  // What another place needs to go on here, and the same the other way round: takes the place of whatever
  // was, and signals nothing. While the device stands still. EMFILE.
  Result<IrqVectorSetup> setup() const;
  void load(os::EventFd trigger, const IrqVectorSetup& setup);
  // Back to silent, unmasked, nothing remembered; the line stays as it is.
  void disable();
  // What a reset of the device does: the line is low, nothing is remembered. Any thread.
  void forget_pending();

 private:
  // The eventfd in use and the next one. `finished` counts the signals that have been made, so that whoever
  // takes the slot out of use can wait for those that had been begun: no more can begin by then.
  struct Slot {
    os::EventFd trigger;
    std::atomic<std::uint32_t> finished = 0;
  };
  struct Settled;

  template <typename Change>
  std::uint64_t apply(Change change);
  Settled settle(std::uint64_t word) const;
  void finish_signal(std::uint64_t word);
  void retire(std::uint64_t word);
  std::uint64_t put_into_free_slot(os::EventFd trigger);

  // Bits 0 and 1: the slot in use, counted from 1; 0 is none. Then mask, line and pulse. Bits 32 to 63: how
  // many signals have been begun with this slot (it may wrap, as `finished` does).
  std::atomic<std::uint64_t> word_ = 0;
  bool automasked_ = false;
  std::array<Slot, 2> slots_;
};

}  // namespace umdev::vfio
