// Who gets a lease, and when it ends: see the head of lease.h.
#include <algorithm>

#include "umdev/iommu/address_space_state.h"
#include "umdev/support/assert.h"

namespace umdev::iommu {

// --- one of them ---

void AddressSpace::Lease::open(Owner& owner, Seat& seat, std::uint32_t most) {
  UMDEV_ASSERT(!is_open() && held_for_reading_.load() + held_for_writing_.load() == 0,
               "a lease was opened twice");
  const Mapping& mapping = *seat.mapping();
  const IovaRange range = mapping.range();
  begin_ = range.iova;
  size_ = range.size;
  access_ = mapping.pinnable_for();
  most_ = most;
  seat_ = &seat;
  memory_ = seat.known_memory();
  backing_ = mapping.backing.get();
  owner_.store(&owner, std::memory_order_release);
}

void AddressSpace::Lease::unpin(DmaPin& pin) {
  switch (try_give(pin)) {
    case Given::here:
      return;
    case Given::elsewhere:
      return space_.unpin(pin);
    case Given::unknown:
      return space_.unpin_without_lease(pin);
  }
}

bool AddressSpace::Lease::revoked(const DmaPin& pin) const {
  return space_.revoked(pin);
}

DmaFile AddressSpace::Lease::file_of(const DmaPin& pin, const DmaSegment& segment) const {
  return space_.file_of(pin, segment);
}

// --- all of a space ---

// For a pin that outlived its lease, and for one that is dropped by another thread than its lease's owner.
void AddressSpace::State::unpin_without_lease(DmaPin& pin) {
  {
    Lock lock(mutex);
    const Seat& seat = static_cast<const Seat&>(*pin.place());
    if (seat.user != Seat::nobody) {
      UserRecord& record = user_of(seat);
      if (record.lease.is_open() && &record.lease.seat() == &seat) {
        note_move(record);
        end_lease(record);
      }
    }
  }
  unpin(pin);
}

// A user that pins on several threads by turns has no use for a lease: each change costs a barrier.
void AddressSpace::State::note_move(UserRecord& record) {
  if (record.moves_left != 0) --record.moves_left;
}

void AddressSpace::State::pinned_again(UserRecord& record, Seat& seat) {
  constexpr std::uint32_t often = 16;
  const std::uint32_t times = record.repeats.load(std::memory_order_relaxed) + 1;
  record.repeats.store(times % often, std::memory_order_relaxed);
  // What is logged is told of one by one.
  if (times < often || !has_leases || dirty_sink.load() != nullptr) return;
  if (!mutex.try_lock()) return;  // the next time, then
  offer_lease(record, seat);
  mutex.unlock();
}

void AddressSpace::State::offer_lease(UserRecord& record, Seat& seat) {
  constexpr std::uint64_t most = 256;
  Lease& lease = record.lease;
  const bool is_mine = lease.is_mine();
  if (is_mine && &lease.seat() == &seat) return;
  const bool goes = (seat.word.get() & (PinWord::blocked | PinWord::revoked)) != 0;
  const bool scarce = record.tight || record.budget <= pin_limit() / 2;
  if (goes || scarce || dirty_sink.load() != nullptr || seat.known_memory() == nullptr) return;
  if (lease.is_open() && !is_mine) note_move(record);
  if (record.moves_left == 0) return;
  end_lease(record);
  const auto granted = static_cast<std::uint32_t>(std::min(most, record.budget / 8));
  if (granted == 0) return;
  record.budget -= 2 * granted + 1;
  seat.word.add(PinWord::for_reading + PinWord::one_quota);
  lease.open(owner_here(), seat, granted);
}

AddressSpace::Lease::Owner& AddressSpace::State::owner_here() {
  for (Lease::Owner& owner : owners_) {
    if (owner.is_this_thread()) return owner;
  }
  return owners_.emplace_back(os::this_thread_mark());
}

void AddressSpace::State::end_lease(UserRecord& record) {
  Lease& lease = record.lease;
  if (!lease.is_open()) return;
  const Lease::Held held = lease.close();
  const std::uint64_t count = held.for_reading + held.for_writing;
  Seat& seat = lease.seat();
  seat.word.add(held.for_reading * PinWord::for_reading + held.for_writing * PinWord::for_writing +
                count * PinWord::one_quota);
  seat.word.subtract(PinWord::for_reading + PinWord::one_quota);
  refund(record, 2 * std::uint64_t{lease.most()} - count + 1);
}

void AddressSpace::State::end_leases() {
  for (const auto& [user, record] : users) end_lease(*record);
}

void AddressSpace::State::end_leases_of(const Unmap& unmap) {
  for (const auto& [user, record] : users) {
    if (record->lease.is_open() && record->lease.seat().mapping()->unmap == &unmap) end_lease(*record);
  }
}

}  // namespace umdev::iommu
