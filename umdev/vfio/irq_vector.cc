#include "umdev/vfio/irq_vector.h"

#include <thread>
#include <utility>

namespace umdev::vfio {
namespace {

constexpr std::uint64_t slot_mask = 3;
constexpr std::uint64_t masked = 1U << 2;
constexpr std::uint64_t line_high = 1U << 3;
constexpr std::uint64_t pulse_remembered = 1U << 4;
constexpr unsigned begun_shift = 32;
constexpr std::uint64_t one_signal = std::uint64_t{1} << begun_shift;
constexpr std::uint64_t flag_mask = masked | line_high | pulse_remembered;

std::size_t slot_of(std::uint64_t word) {
  return word & slot_mask;
}

}  // namespace

struct IrqVector::Settled {
  std::uint64_t word;
  bool signals;
};

// Decides whether a state delivers, and what it is afterwards.
IrqVector::Settled IrqVector::settle(std::uint64_t word) const {
  if ((word & masked) != 0) return {word, false};
  const bool delivers = slot_of(word) != 0 && (word & (line_high | pulse_remembered)) != 0;
  word &= ~pulse_remembered;
  if (!delivers) return {word, false};
  if (automasked_) word |= masked;
  return {word + one_signal, true};
}

// Makes a change and what follows from it in one step, then signals if that is what follows. Returns the
// state before.
template <typename Change>
std::uint64_t IrqVector::apply(Change change) {
  std::uint64_t before = word_.load(std::memory_order_relaxed);
  Settled after{};
  do {
    after = settle(change(before));
    if (after.word == before) return before;
  } while (
      !word_.compare_exchange_weak(before, after.word, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (after.signals) finish_signal(after.word);
  return before;
}

// The slot cannot be given another eventfd before this has counted itself as finished.
void IrqVector::finish_signal(std::uint64_t word) {
  Slot& slot = slots_[slot_of(word) - 1];
  slot.trigger.signal();
  slot.finished.fetch_add(1, std::memory_order_release);
}

// Waits for the signals that were begun while `word` was the state, then closes its eventfd. This takes no
// longer than a thread in the middle of one needs to be scheduled, or to be interrupted (os::WriteWatch).
void IrqVector::retire(std::uint64_t word) {
  if (slot_of(word) == 0) return;
  Slot& slot = slots_[slot_of(word) - 1];
  const auto begun = static_cast<std::uint32_t>(word >> begun_shift);
  while (slot.finished.load(std::memory_order_acquire) != begun) std::this_thread::yield();
  slot.trigger = os::EventFd();
}

void IrqVector::raise_line() {
  apply([](std::uint64_t word) { return word | line_high; });
}

void IrqVector::lower_line() {
  apply([](std::uint64_t word) { return word & ~line_high; });
}

void IrqVector::pulse() {
  apply([](std::uint64_t word) { return word | pulse_remembered; });
}

// The slot's number, or 0 for an empty eventfd.
std::uint64_t IrqVector::put_into_free_slot(os::EventFd trigger) {
  if (!trigger) return 0;
  const std::uint64_t free = slot_of(word_.load(std::memory_order_relaxed)) == 1 ? 2 : 1;
  Slot& slot = slots_[free - 1];
  slot.trigger = std::move(trigger);
  slot.finished.store(0, std::memory_order_relaxed);
  return free;
}

void IrqVector::set_trigger(os::EventFd trigger) {
  const std::uint64_t next_slot = put_into_free_slot(std::move(trigger));
  retire(apply([next_slot](std::uint64_t word) { return (word & flag_mask) | next_slot; }));
}

void IrqVector::mask() {
  apply([](std::uint64_t word) { return word | masked; });
}

void IrqVector::unmask() {
  apply([](std::uint64_t word) { return word & ~masked; });
}

void IrqVector::signal() {
  std::uint64_t before = word_.load(std::memory_order_relaxed);
  do {
    if (slot_of(before) == 0) return;
  } while (!word_.compare_exchange_weak(before, before + one_signal, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  finish_signal(before);
}

void IrqVector::disable() {
  retire(apply([](std::uint64_t word) { return word & line_high; }));
}

Result<IrqVectorSetup> IrqVector::setup() const {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  IrqVectorSetup setup{.masked = (word & masked) != 0,
                       .line = (word & line_high) != 0,
                       .pending = (word & pulse_remembered) != 0,
                       .trigger = {},
                       .unmask = {}};
  if (slot_of(word) != 0) setup.trigger = UMDEV_TRY(slots_[slot_of(word) - 1].trigger.dup());
  return setup;
}

void IrqVector::load(os::EventFd trigger, const IrqVectorSetup& setup) {
  const std::uint64_t slot = put_into_free_slot(std::move(trigger));
  const std::uint64_t word = slot | (setup.masked ? masked : 0) | (setup.line ? line_high : 0) |
                             (setup.pending ? pulse_remembered : 0);
  retire(word_.exchange(word, std::memory_order_acq_rel));
}

void IrqVector::forget_pending() {
  apply([](std::uint64_t word) { return word & ~(line_high | pulse_remembered); });
}

}  // namespace umdev::vfio
