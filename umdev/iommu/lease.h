// Pins that one thread counts for itself; included by this room's sources only.
//
// Most of what it costs to pin the same place again and again is one instruction, the locked one that counts.
// A lease does without: one thread, its owner, counts its user's pins of one seat with plain loads and
// stores. It marks when it is inside, as if the lease were a lock. Whoever else wants to know what is counted
// ends the lease first (with the space's mutex held): takes the owner away, has every thread pass a barrier,
// and waits until the owner is not inside. The owner marks itself and then looks whether it still is the
// owner; the other takes the owner away and then looks for the mark; the barrier stands between store and
// look for both, so one of them sees the other. The mark is the thread's, not the lease's: who comes late, to
// a lease that has another owner by now, marks and unmarks nobody but itself.
//
// The seat's word counts one pin for an open lease, so the mapping stays as long as it is open. When it ends,
// what it counted is added to the word; a pin that outlives its lease is counted there. Which of the two
// counts it, a pin does not know, and need not: it leaves where one of its kind is counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/seat.h"
#include "umdev/os/thread.h"

namespace umdev::iommu {

class AddressSpace::Lease final : public DmaPin::Holder {
 public:
  // A thread that has leases in a space. Stays as long as the space.
  struct alignas(64) Owner {
    explicit Owner(const void* the_mark) : mark(the_mark) {}
    bool is_this_thread() const { return mark == os::this_thread_mark(); }

    const void* const mark;
    std::atomic<const Lease*> inside = nullptr;  // changed by the thread alone
  };

  // Where a pin was counted in. It stays what it is, as the pin does.
  struct Place {
    Seat* seat = nullptr;  // null: nowhere
    std::byte* memory = nullptr;
    const Backing* backing = nullptr;
  };

  explicit Lease(State& space) : space_(space) {}

  // Nowhere for a thread that is not the owner, and for a pin that does not fit.
  Place try_take(const IovaRange& range, Access access) {
    Owner* const owner = enter();
    if (owner == nullptr) return {};
    Place place;
    const std::uint64_t offset = range.iova - begin_;
    std::atomic<std::uint32_t>& held = held_for(access);
    const std::uint32_t count = held.load(std::memory_order_relaxed);
    if (offset < size_ && range.size - 1 < size_ - offset && allows(access_, access) && count < most_) {
      held.store(count + 1, std::memory_order_relaxed);
      place = {.seat = seat_, .memory = memory_ + offset, .backing = backing_};
    }
    leave(*owner);
    return place;
  }

  // ^DmaPin::Holder
  void unpin(DmaPin& pin) override;
  bool revoked(const DmaPin& pin) const override;
  DmaFile file_of(const DmaPin& pin, const DmaSegment& segment) const override;

  // With the space's mutex held.
  bool is_open() const { return owner_.load(std::memory_order_relaxed) != nullptr; }
  bool is_mine() const {
    const Owner* const owner = owner_.load(std::memory_order_relaxed);
    return owner != nullptr && owner->is_this_thread();
  }
  // Of an open one.
  Seat& seat() const { return *seat_; }
  std::uint32_t most() const { return most_; }
  // Its owner is the calling thread. `most`: how many pins it may count, of those for reading and of those
  // for writing. Precondition: it is not open, the seat counts one pin for it, and knows its memory.
  void open(Owner& owner, Seat& seat, std::uint32_t most);
  struct Held {
    std::uint32_t for_reading = 0;
    std::uint32_t for_writing = 0;
  };
  // What it counted. Precondition: it is open.
  Held close() {
    const Owner& owner = *owner_.exchange(nullptr);
    if (!owner.is_this_thread()) os::fence_other_threads();
    for (unsigned times = 0; owner.inside.load(std::memory_order_acquire) == this; ++times)
      os::let_others_run(times);
    return {.for_reading = held_for_reading_.exchange(0, std::memory_order_relaxed),
            .for_writing = held_for_writing_.exchange(0, std::memory_order_relaxed)};
  }

 private:
  // Null for a thread that is not the owner.
  Owner* enter() {
    Owner* const owner = owner_.load(std::memory_order_acquire);
    if (owner == nullptr || !owner->is_this_thread()) return nullptr;
    owner->inside.store(this, std::memory_order_relaxed);
    // For the compiler; close() does it for the processor.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (owner_.load(std::memory_order_acquire) == owner) [[likely]]
      return owner;
    leave(*owner);
    return nullptr;
  }
  static void leave(Owner& owner) { owner.inside.store(nullptr, std::memory_order_release); }
  enum class Given : std::uint8_t { here, elsewhere, unknown };
  // Elsewhere: it is counted in its seat's word for certain.
  Given try_give(const DmaPin& pin) {
    Owner* const owner = enter();
    if (owner == nullptr) return Given::unknown;
    std::atomic<std::uint32_t>& held = held_for(pin.access());
    const std::uint32_t count = held.load(std::memory_order_relaxed);
    const bool counted = seat_ == pin.place() && count != 0;
    if (counted) held.store(count - 1, std::memory_order_relaxed);
    leave(*owner);
    return counted ? Given::here : Given::elsewhere;
  }
  std::atomic<std::uint32_t>& held_for(Access access) {
    return allows(access, Access::write) ? held_for_writing_ : held_for_reading_;
  }

  State& space_;
  std::atomic<Owner*> owner_ = nullptr;  // null while the lease is not open
  // Changed by the owner, inside, and by others while there is none.
  std::atomic<std::uint32_t> held_for_reading_ = 0;
  std::atomic<std::uint32_t> held_for_writing_ = 0;
  // What open() found: as long as it is open, the seat's.
  Iova begin_ = 0;
  std::uint64_t size_ = 0;
  Access access_ = Access::none;
  std::uint32_t most_ = 0;
  Seat* seat_ = nullptr;
  std::byte* memory_ = nullptr;
  const Backing* backing_ = nullptr;
};

}  // namespace umdev::iommu
