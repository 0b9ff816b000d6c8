// Pins: see the head of address_space_state.h.
#include <algorithm>

#include "umdev/iommu/address_space_state.h"

namespace umdev::iommu {

// --- without a lock ---

[[gnu::always_inline]] inline AddressSpace::UserRecord* AddressSpace::State::record_of(
    const DmaUser& user) const {
  auto* const record = static_cast<UserRecord*>(user.record_.load(std::memory_order_acquire));
  return record != nullptr && &record->space == this ? record : nullptr;
}

// For whoever is counted in.
[[gnu::always_inline]] inline bool AddressSpace::State::serves(const Seat& seat, const DmaUser& user,
                                                               const UserRecord& record,
                                                               const IovaRange& range, Access access) {
  return seat.user.load(std::memory_order_relaxed) == record.number &&
         record.user.load(std::memory_order_relaxed) == &user && seat.allows_pin(range, access);
}

// Counts a pin in; gives it back when the seat is not, or no longer, what the caller looked for. `wrong` is
// the seat that could not take it back so simply.
[[gnu::always_inline]] inline bool AddressSpace::State::take(Seat& seat, const DmaUser& user,
                                                             const UserRecord& record, const IovaRange& range,
                                                             Access access, PinWord::Value step,
                                                             Seat*& wrong) {
  if (!seat.word.try_take(step)) return false;
  if (serves(seat, user, record, range, access)) [[likely]]
    return true;
  if (!seat.word.try_give(step)) wrong = &seat;
  return false;
}

AddressSpace::Seat* AddressSpace::State::try_pin(const DmaUser& user, const IovaRange& range, Access access,
                                                 PinWord::Value step, Seat*& wrong) {
  UserRecord* const record = record_of(user);
  return record != nullptr ? look_up_and_pin(user, *record, range, access, step, wrong) : nullptr;
}

AddressSpace::Seat* AddressSpace::State::look_up_and_pin(const DmaUser& user, UserRecord& record,
                                                         IovaRange range, Access access, PinWord::Value step,
                                                         Seat*& wrong) {
  Seat* const last = record.last_hit.load(std::memory_order_acquire);
  if (last != nullptr && last->allows_pin(range, access) &&
      take(*last, user, record, range, access, step, wrong)) {
    pinned_again(record, *last);
    return last;
  }
  if (wrong != nullptr) return nullptr;
  Seat* seat = index.guess(range.iova);
  if (seat == nullptr || !seat->allows_pin(range, access)) seat = index.at_or_before(range.iova);
  if (seat == nullptr) return nullptr;
  if (seat->user.load(std::memory_order_relaxed) != record.number) seat = seat_behind(*seat, record);
  if (seat == nullptr || !take(*seat, user, record, range, access, step, wrong)) return nullptr;
  record.last_hit.store(seat, std::memory_order_release);
  record.repeats.store(0, std::memory_order_relaxed);
  return seat;
}

AddressSpace::Seat* AddressSpace::State::seat_behind(const Seat& first, const UserRecord& record) {
  constexpr int seats_max = 32;  // a seat that was taken away meanwhile may lead anywhere
  Seat* seat = first.next().load(std::memory_order_acquire);
  for (int looked_at = 0; seat != nullptr && looked_at != seats_max; ++looked_at) {
    if (seat->user.load(std::memory_order_relaxed) == record.number) return seat;
    seat = seat->next().load(std::memory_order_acquire);
  }
  return nullptr;
}

// As a rule a device pins on one thread, where it has pinned before. This is that way and no more: what else
// there may be would cost it registers, and so time.
Result<DmaPin> AddressSpace::pin(DmaUser& user, IovaRange range, Access access) {
  State& state = *state_;
  UserRecord* const record = state.record_of(user);
  if (record == nullptr) return state.pin_elsewhere(user, range, access);
  const Lease::Place place = record->lease.try_take(range, access);
  if (place.seat == nullptr) return state.pin_elsewhere(user, range, access);
  return State::made_pin(record->lease, *place.seat, range, access, place.memory, 0, place.backing->intact());
}

Result<DmaPin> AddressSpace::State::pin_elsewhere(DmaUser& user, IovaRange range, Access access) {
  if (range.size == 0) return fail(EINVAL, "nothing to pin");
  if (!range.valid()) return fail(EOVERFLOW, "the range wraps");
  Seat* wrong = nullptr;
  Seat* const seat = try_pin(user, range, access, PinWord::step_of(access), wrong);
  if (seat == nullptr) return pin_slowly(user, range, access, wrong);
  return finished_pin(*seat, range, access);
}

[[gnu::always_inline]] inline Result<DmaPin> AddressSpace::State::finished_pin(Seat& seat,
                                                                               const IovaRange& range,
                                                                               Access access) {
  const bool logged = allows(access, Access::write) && dirty_sink.load() != nullptr;
  std::byte* const memory = seat.known_memory();
  if (logged || memory == nullptr) [[unlikely]]
    return first_or_logged_pin(seat, range, access);
  return made_pin(*this, seat, range, access, memory + (range.iova - seat.begin()), 0,
                  seat.intact(shared_backings));
}

// Made where the caller wants it: a copy would be read before its parts have got as far as the cache.
[[gnu::always_inline]] inline Result<DmaPin> AddressSpace::State::made_pin(DmaPin::Holder& holder, Seat& seat,
                                                                           const IovaRange& range,
                                                                           Access access, std::byte* memory,
                                                                           std::uint64_t cookie,
                                                                           bool intact) {
  Result<DmaPin> pin(std::in_place, holder, &seat, range, access,
                     DmaSegment{.data = memory, .length = range.size}, cookie);
  if (!intact) [[unlikely]]
    pin = fail(EFAULT, "the memory went bad");
  return pin;
}

Result<DmaPin> AddressSpace::State::first_or_logged_pin(Seat& seat, IovaRange range, Access access) {
  std::uint64_t cookie = 0;
  if (allows(access, Access::write)) {
    if (DirtySink* const sink = dirty_sink.load()) cookie = sink->pinned(range);
  }
  if (std::byte* const memory = seat.reach())
    return made_pin(*this, seat, range, access, memory + (range.iova - seat.begin()), cookie,
                    seat.intact(shared_backings));
  DmaPin(*this, &seat, range, access, {}, cookie).unpin();
  return fail(EFAULT, "the memory could not be mapped");
}

void AddressSpace::State::unpin(DmaPin& pin) {
  if (allows(pin.access(), Access::write)) {
    if (DirtySink* const sink = dirty_sink.load()) sink->unpinned(pin.range(), pin.cookie());
  }
  Seat& seat = static_cast<Seat&>(*pin.place());
  const PinWord::Value step = PinWord::step_of(pin.access());
  if (!seat.word.try_give(step)) give_back(seat, step);
}

bool AddressSpace::State::revoked(const DmaPin& pin) const {
  return static_cast<const Seat&>(*pin.place()).revoked();
}

DmaFile AddressSpace::State::file_of(const DmaPin& pin, const DmaSegment& segment) const {
  return static_cast<const Seat&>(*pin.place()).mapping()->file_of(segment);
}

// --- with the lock ---

Result<DmaPin> AddressSpace::State::pin_slowly(DmaUser& user, IovaRange range, Access access, Seat* wrong) {
  const std::shared_ptr<State> self = shared_from_this();  // a pin given back may end an unmap
  const PinWord::Value step = PinWord::step_of(access);
  if (wrong != nullptr) give_back(*wrong, step);
  std::vector<Seat*> others;
  Seat* const first = UMDEV_TRY(seat_at(user, range.iova, access, step));
  for (IovaRange there = first->mapping()->range(); there.last() < range.last();) {
    Result<Seat*> next = seat_at(user, there.last() + 1, access, step);
    if (!next) {
      give_back(*first, step);
      for (Seat* seat : others) give_back(*seat, step);
      return std::unexpected(next.error());
    }
    others.push_back(*next);
    there = (*next)->mapping()->range();
  }
  if (others.empty()) return finished_pin(*first, range, access);

  others.insert(others.begin(), first);
  const auto out_of_reach = [](const Seat* seat) { return seat->mapping()->reach() == nullptr; };
  if (std::any_of(others.begin(), others.end(), out_of_reach)) {
    for (Seat* seat : others) give_back(*seat, step);
    return fail(EFAULT, "the memory could not be mapped");
  }
  auto holder = std::make_unique<SpanHolder>(std::move(others), range);
  const SpanHolder& held = *holder;
  std::uint64_t cookie = 0;
  if (allows(access, Access::write)) {
    if (DirtySink* const sink = dirty_sink.load()) cookie = sink->pinned(range);
  }
  DmaPin pin(std::move(holder), range, access, {}, cookie);
  // All of it was mapped at one moment: now.
  if (held.draining()) return fail(EINVAL, "a mapping has gone meanwhile");
  if (!held.intact()) return fail(EFAULT, "the memory went bad");
  return pin;
}

Result<AddressSpace::Seat*> AddressSpace::State::seat_at(DmaUser& user, Iova iova, Access access,
                                                         PinWord::Value step) {
  Seat* wrong = nullptr;
  Seat* const seat = try_pin(user, {.iova = iova, .size = 1}, access, step, wrong);
  if (seat != nullptr) return seat;
  if (wrong != nullptr) give_back(*wrong, step);
  Lock lock(mutex);
  return pin_locked(user, iova, access, step);
}

Result<AddressSpace::Seat*> AddressSpace::State::pin_locked(DmaUser& user, Iova iova, Access access,
                                                            PinWord::Value step) {
  const auto known = users.find(&user);
  if (known == users.end()) return fail(EINVAL, "the user is not registered");
  UserRecord& record = *known->second;
  Mapping* const mapping = find(iova);
  if (mapping == nullptr) return fail(EINVAL, "nothing is mapped there");
  UMDEV_TRY(mapping->check(access, true));
  Seat& seat = seat_of(*mapping, record);
  if (!record.tight) {
    seat.word.clear_flags(PinWord::tight);
    if (seat.word.try_take(step)) return &seat;
    if (record.budget == 0) collect(record);
  }
  if (record.budget == 0) return fail(ENOMEM, "the user holds too many pins");
  // Generous while there is much left, so that not every pin of a popular mapping comes this way.
  const bool plenty = record.budget > pin_limit() / 2;
  const std::uint64_t quota = plenty ? std::max<std::uint64_t>(1, PinWord::quota(seat.word.get())) : 1;
  const std::uint64_t granted = std::min(quota, record.budget);
  record.budget -= granted;
  seat.word.add(step + granted * PinWord::one_quota);
  return &seat;
}

void AddressSpace::State::give_back(Seat& seat, PinWord::Value step) {
  const std::shared_ptr<State> self = shared_from_this();
  std::shared_ptr<Backing> backing;
  UnmapList ready;
  {
    Lock lock(mutex);
    Mapping& mapping = *seat.mapping();
    PinWord::Value now = seat.word.subtract(step);
    if ((now & PinWord::revoked) != 0) {
      if (PinWord::count(now) == 0) backing = recycle(mapping);
    } else {
      if ((now & PinWord::tight) != 0) {
        now = seat.word.subtract(PinWord::one_quota);
        refund(user_of(seat), 1);
      }
      if ((now & PinWord::blocked) != 0 && PinWord::count(now) == 0) part_done(mapping, ready);
    }
  }
  finish(std::move(ready));
}

// --- budgets ---

// A user may hold so many pins in all; each of its seats has a share of them, so that only a seat that wants
// more than its share needs the lock. When nothing is left, shares that are not used are collected, a few at
// a time. When there are few in all, the seats from then on give back whatever they do not use, until half of
// the pins are free again: so a look at all seats is rare, however near to its limit a user is.
void AddressSpace::State::collect(UserRecord& record) {
  end_lease(record);
  const std::uint64_t enough = std::min<std::uint64_t>(256, pin_limit() / 8 + 1);
  const std::vector<Seat*> seats = seats_of(record, record.collected_up_to, enough);
  std::uint64_t unused = take_unused(record, seats);
  if (unused < enough) {
    const std::vector<Seat*> all = seats_of(record, 0, UINT64_MAX);
    unused += take_unused(record, all);
    record.tight = unused < enough;
    if (record.tight) {
      for (Seat* seat : all) seat->word.set_flags(PinWord::tight);
      unused += take_unused(record, all);  // from here on only the mutex's holder changes them
    }
  }
  refund(record, unused);
}

// What others do to a seat meanwhile may leave it a share that is used, but never one that is too small.
std::uint64_t AddressSpace::State::take_unused(UserRecord& record, const std::vector<Seat*>& seats) {
  std::uint64_t unused = 0;
  for (Seat* seat : seats) {
    unused += seat->word.take_unused_quota();
    record.collected_up_to = seat->mapping()->range().iova + 1;
  }
  return unused;
}

void AddressSpace::State::refund(UserRecord& record, std::uint64_t amount) {
  record.budget += amount;
  if (record.budget > pin_limit() / 2) record.tight = false;
}

// --- seats ---

void AddressSpace::State::seat_first_user(Mapping& mapping) {
  if (first_user == nullptr || first_user->tight || first_user->budget == 0) return;
  --first_user->budget;
  bind(*mapping.first_seat, *first_user, 1);
}

AddressSpace::Seat& AddressSpace::State::seat_of(Mapping& mapping, UserRecord& record) {
  Seat* free = nullptr;
  Seat* mine = nullptr;
  mapping.each_seat([&](Seat& seat) {
    if (seat.user == record.number) mine = &seat;
    if (free == nullptr && seat.user == Seat::nobody && !seat.left_behind()) free = &seat;
  });
  if (mine != nullptr) return *mine;
  if (free == nullptr) {
    free = &seat_pool_.take();
    free->describe(mapping);
    free->next() = mapping.first_seat->next().load();
    mapping.first_seat->next() = free;
  }
  bind(*free, record, 0);
  return *free;
}

void AddressSpace::Seat::describe(Mapping& of) {
  const IovaRange range = of.range();
  rest().mapping = &of;
  begin_and_more_ =
      range.iova | of.backing_number * (access_mask + 1) | static_cast<std::uint64_t>(of.pinnable_for());
  pages_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(range.size / page_size, UINT32_MAX));
  memory_ = of.memory.load();
}

bool AddressSpace::Seat::mapping_is_intact() const {
  return mapping()->intact();
}

std::byte* AddressSpace::Seat::ask_mapping() {
  std::byte* const memory = mapping()->reach();
  memory_.store(memory, std::memory_order_release);
  return memory;
}

void AddressSpace::State::bind(Seat& seat, const UserRecord& record, PinWord::Value quota) {
  seat.user = record.number;
  seat.word.reset(quota * PinWord::one_quota | (record.tight ? PinWord::tight : 0));
}

// Nobody waits for its pins any more; when it has none, it is nobody's at once.
void AddressSpace::State::leave_behind(Seat& seat) {
  const PinWord::Value before = seat.word.set_flags(PinWord::blocked | PinWord::revoked);
  refund(user_of(seat), PinWord::quota(before));
  seat.word.subtract(PinWord::quota(before) * PinWord::one_quota);
  seat.user = Seat::nobody;
}

bool AddressSpace::State::clear_seats(Mapping& mapping) {
  Seat& first = *mapping.first_seat;
  if (first.user != Seat::nobody && !first.left_behind()) leave_behind(first);
  bool left = first.left_behind();
  std::atomic<Seat*>* link = &first.next();
  while (Seat* const seat = *link) {
    if (seat->left_behind()) {
      left = true;
      link = &seat->next();
      continue;
    }
    if (seat->user != Seat::nobody) leave_behind(*seat);
    link->store(seat->next());
    seat_pool_.give_back(*seat);
  }
  return left;
}

// --- pins of several mappings ---

AddressSpace::SpanHolder::SpanHolder(std::vector<Seat*> seats, IovaRange range) : seats_(std::move(seats)) {
  const Backing* last_backing = nullptr;
  for (const Seat* seat : seats_) {
    const DmaSegment next = seat->mapping()->segment(range);
    const Backing* const backing = seat->mapping()->backing.get();
    if (last_backing == backing && segments_.back().data + segments_.back().length == next.data) {
      segments_.back().length += next.length;
    } else {
      segments_.push_back(next);
    }
    last_backing = backing;
  }
}

void AddressSpace::SpanHolder::unpin(DmaPin& pin) {
  const std::shared_ptr<State> state = seats_.front()->mapping()->self;
  if (allows(pin.access(), Access::write)) {
    if (DirtySink* const sink = state->dirty_sink.load()) sink->unpinned(pin.range(), pin.cookie());
  }
  const PinWord::Value step = PinWord::step_of(pin.access());
  for (Seat* seat : seats_) {
    if (!seat->word.try_give(step)) state->give_back(*seat, step);
  }
}

bool AddressSpace::SpanHolder::revoked(const DmaPin&) const {
  return std::any_of(seats_.begin(), seats_.end(), [](const Seat* seat) { return seat->revoked(); });
}

DmaFile AddressSpace::SpanHolder::file_of(const DmaPin& pin, const DmaSegment& segment) const {
  const auto begins_in = [&](const Seat* seat) {
    return seat->mapping()->segment(pin.range()).data == segment.data;
  };
  const auto first = std::find_if(seats_.begin(), seats_.end(), begins_in);
  return first == seats_.end() ? DmaFile{} : (*first)->mapping()->file_of(segment);
}

bool AddressSpace::SpanHolder::draining() const {
  return std::any_of(seats_.begin(), seats_.end(),
                     [](const Seat* seat) { return (seat->word.get() & PinWord::blocked) != 0; });
}

bool AddressSpace::SpanHolder::intact() const {
  return std::all_of(seats_.begin(), seats_.end(),
                     [](const Seat* seat) { return seat->mapping()->intact(); });
}

}  // namespace umdev::iommu
