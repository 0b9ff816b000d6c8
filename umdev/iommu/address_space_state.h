// Inside of AddressSpace; included by this room's sources only.
//
// Readers (pin, unpin, read, write) take no lock: the index gives them a mapping, they count themselves in a
// word of it (PinWord), and only then look whether it is the right one, which it stays as long as they are
// counted. Mappings, seats and user records are therefore never freed before the space, only used again.
// Where one thread pins the same place again and again it counts its pins for itself (Lease), until somebody
// asks. Whatever does not go that way (a first pin, an error, a mapping that drains) is decided by
// State::mutex, which guards everything else that changes. It is never held over a call to a DmaUser, a
// Backing, a Done or the clock.
//
// Life of an unmap: select() -> begin() marks the mappings as draining (their words are blocked from then on)
// and counts those still in use -> users are called -> when the count is 0, or the deadline has passed,
// somebody claims it (claim(), once) -> finish() revokes what is left, tells the users that lost pins, takes
// the mappings out of the index, and calls `done`.
#pragma once

#include <deque>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "umdev/iommu/address_space.h"
#include "umdev/iommu/iova_index.h"
#include "umdev/iommu/lease.h"
#include "umdev/iommu/pin_word.h"
#include "umdev/iommu/seat.h"
#include "umdev/iommu/shared_backings.h"
#include "umdev/iommu/stable_pool.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

struct AddressSpace::UserRecord final : DmaUser::Record {
  UserRecord(State& the_space, std::uint32_t the_number)
      : space(the_space), number(the_number), lease(the_space) {}

  State& space;
  const std::uint32_t number;                  // among the records of the space, from 1 on
  std::atomic<const DmaUser*> user = nullptr;  // whose record it is now; null when it is spare
  Lease lease;
  std::atomic<Seat*> last_hit = nullptr;   // without the lease
  std::atomic<std::uint32_t> repeats = 0;  // of it
  // Guarded by State::mutex.
  DmaUser* callee = nullptr;
  std::uint64_t budget = 0;  // how many more pins its seats may be allowed
  bool tight = false;        // so few that its seats give back what they do not use
  Iova collected_up_to = 0;  // where to look next for what they do not use
  bool registered = false;
  std::uint32_t moves_left = 0;          // how many more times the lease may go to another thread
  std::vector<std::thread::id> callers;  // threads that are inside a call to the user
};

class AddressSpace::Mapping {
 public:
  // Why a device may not use it in this way, or nothing.
  Result<> check(Access wanted, bool pinning) const;
  bool usable(Access wanted) const {
    return allows(access, wanted) && backing != nullptr && !alias_was_revoked.load(std::memory_order_relaxed);
  }
  // What allows_pin() of its seats says.
  Access pinnable_for() const { return mappable && usable(access) ? access : Access::none; }
  bool intact() const { return backing->intact(); }
  IovaRange range() const {
    return {.iova = iova.load(std::memory_order_relaxed), .size = size.load(std::memory_order_relaxed)};
  }
  // The part of a range that lies in the mapping (they overlap), and the memory of such a part.
  IovaRange part(IovaRange wanted) const;
  // Precondition: reach() has said where it is.
  DmaSegment segment(IovaRange wanted) const {
    const IovaRange inside = part(wanted);
    return {.data = memory.load(std::memory_order_relaxed) + (inside.iova - range().iova),
            .length = inside.size};
  }
  // Of a segment whose first byte is in here.
  DmaFile file_of(const DmaSegment& segment) const;
  // Where its first byte is; null when the memory could not be had. For whoever is counted in, without a
  // lock: the first one asks the backing.
  std::byte* reach() {
    std::byte* const known = memory.load(std::memory_order_acquire);
    return known != nullptr ? known : ask_backing();
  }
  std::uint64_t backing_end() const { return backing_offset + range().size; }

  // Calls `function(seat)` for the seats of all users that have pinned here.
  template <typename Function>
  void each_seat(const Function& function) const {
    for (Seat* seat = first_seat; seat != nullptr; seat = seat->next()) function(*seat);
  }

  Seat* first_seat = nullptr;  // its own for good; the index leads to it
  // Set while nobody can be counted in; the range may be looked at by anybody, who then must look again.
  std::atomic<Iova> iova = 0;
  std::atomic<std::uint64_t> size = 0;
  std::atomic<std::byte*> memory = nullptr;  // of the first byte, once somebody has used it

  std::shared_ptr<State> self;  // what it lives in, as long as it is mapped or anything of it is left
  std::uint64_t fd_offset = 0;
  std::shared_ptr<Backing> backing;
  PinWord copies;  // reads and writes under way
  int fd = -1;
  Access access = Access::none;
  bool mappable = false;                        // its backing is memory here, or will be
  std::atomic<bool> alias_was_revoked = false;  // zero pages are where its memory was
  std::uint64_t backing_offset = 0;
  std::uint32_t backing_number = 0;  // in State::shared_backings

  // Guarded by State::mutex.
  bool mapped = false;      // in the index
  std::uint32_t parts = 0;  // while it drains: words of it that still count something
  Unmap* unmap = nullptr;   // that drains it

 private:
  std::byte* ask_backing();
};

struct AddressSpace::Unmap : std::enable_shared_from_this<Unmap> {
  struct Loser {
    std::shared_ptr<UserRecord> user;
    IovaRange range;
  };

  std::vector<Mapping*> mappings;  // fixed once it has begun
  std::uint64_t bytes = 0;
  // Guarded by State::mutex until it is claimed, then the claimer's alone.
  Done<std::uint64_t> done;
  std::size_t busy = 0;   // mappings that are in use, and earlier unmaps that this one comes after
  bool notifying = true;  // users are still being called
  bool claimed = false;   // somebody finishes it
  Timer timer;
  std::vector<std::shared_ptr<Unmap>> followers;  // that come after it
  std::vector<Mapping*> taken;                    // that go although they are in use
  std::vector<Loser> losers;
  std::vector<std::shared_ptr<Backing>> backings;  // that go with it, when no lock is held any more
};

// Holds the pins that lie in one mapping.
class AddressSpace::State final : public std::enable_shared_from_this<State>, public DmaPin::Holder {
 public:
  using MappingList = std::vector<Mapping*>;
  using UnmapList = std::vector<std::shared_ptr<Unmap>>;
  using UserList = std::vector<std::shared_ptr<UserRecord>>;

  State(Clock& the_clock, const Limits& the_limits, Options the_options)
      : clock(the_clock), limits(the_limits), options(the_options) {}

  // address_space.cc
  Result<> map(const MappingRequest& request);
  bool overlaps(IovaRange range) const UMDEV_REQUIRES(mutex);
  // The mapping at an address that is not draining, or null.
  Mapping* find(Iova iova) const UMDEV_REQUIRES(mutex);
  // The last mapping that begins at or before an address. Without the mutex, a hint.
  Mapping* at_or_before(Iova iova) const {
    const Seat* const seat = index.at_or_before(iova);
    return seat == nullptr ? nullptr : seat->mapping();
  }
  // Calls `function(mapping)`, by address, from at_or_before(from) on, until it says false.
  template <typename Function>
  void visit(Iova from, const Function& function) const UMDEV_REQUIRES(mutex) {
    index.visit(from, [&](Seat& seat) { return function(*seat.mapping()); });
  }
  std::uint32_t pin_count();
  std::vector<PinnedForWriting> pinned_for_writing();
  void set_dirty_sink(std::shared_ptr<DirtySink> sink);

  // pins.cc
  // ^DmaPin::Holder
  void unpin(DmaPin& pin) override;
  bool revoked(const DmaPin& pin) const override;
  DmaFile file_of(const DmaPin& pin, const DmaSegment& segment) const override;
  // Every pin that is not its user's lease's.
  Result<DmaPin> pin_elsewhere(DmaUser& user, IovaRange range, Access access);
  // Null for a user that was never registered here.
  UserRecord* record_of(const DmaUser& user) const;
  // `memory`: of the first byte. `intact`: what the backing said of it since the pin was counted.
  static Result<DmaPin> made_pin(DmaPin::Holder& holder, Seat& seat, const IovaRange& range, Access access,
                                 std::byte* memory, std::uint64_t cookie, bool intact);
  // Gives pins back when their seat could not do it alone.
  void give_back(Seat& seat, PinWord::Value step);
  void seat_first_user(Mapping& mapping) UMDEV_REQUIRES(mutex);
  void leave_behind(Seat& seat) UMDEV_REQUIRES(mutex);
  // Takes away the seats of a mapping that goes, but for those that are left behind; are there any?
  bool clear_seats(Mapping& mapping) UMDEV_REQUIRES(mutex);

  // leases.cc
  void unpin_without_lease(DmaPin& pin);
  // A seat in which the caller holds a pin was the last one before, too.
  void pinned_again(UserRecord& record, Seat& seat);
  void end_lease(UserRecord& record) UMDEV_REQUIRES(mutex);
  void end_leases() UMDEV_REQUIRES(mutex);
  void end_leases_of(const Unmap& unmap) UMDEV_REQUIRES(mutex);

  // users.cc
  void register_user(DmaUser& user);
  void unregister_user(DmaUser& user);
  UserRecord& user_of(const Seat& seat) const UMDEV_REQUIRES(mutex) { return *records.at(seat.user - 1); }
  // Its seats from an address on, at most so many.
  std::vector<Seat*> seats_of(const UserRecord& record, Iova from, std::uint64_t most) const
      UMDEV_REQUIRES(mutex);
  // Calls a user, unless it has been unregistered meanwhile.
  void call_user(UserRecord& record, void (DmaUser::*function)(IovaRange), IovaRange range)
      UMDEV_EXCLUDES(mutex);

  // copies.cc
  // Starts a copy: the mapping that holds all of a valid range, with the copy counted in it, or null. Sets
  // `stay` when it had to call back, so that the state is there when it returns.
  Mapping* begin_copy(IovaRange range, Access access, std::shared_ptr<State>& stay);
  // Every mapping of a valid range, in order, with a copy counted in each; EINVAL a hole, or what check()
  // says of the first that refuses.
  Result<MappingList> cover(IovaRange range, Access access);
  void end_copy(Mapping& mapping);
  void note_write(IovaRange range) const {
    if (DirtySink* const sink = dirty_sink.load()) sink->written(range);
  }

  // unmap.cc
  void unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done);
  void drop_all();
  // Finishes claimed unmaps, and those that thereby become ready.
  void finish(UnmapList ready) UMDEV_EXCLUDES(mutex);
  // A word of a mapping that drains counts nothing any more.
  void part_done(Mapping& mapping, UnmapList& ready) UMDEV_REQUIRES(mutex);
  // Ends a mapping that is no longer in the index, once nothing of it is left. Its backing, to be dropped
  // when the mutex is not held any more.
  std::shared_ptr<Backing> recycle(Mapping& mapping) UMDEV_REQUIRES(mutex);

  Clock& clock;
  const Limits limits;
  const Options options;
  const bool has_leases = os::can_fence_other_threads();

  // Lock-free for readers, changed with the mutex held. Each mapping stands for itself by its first seat.
  IovaIndex<Seat> index;
  SharedBackings shared_backings;
  std::atomic<std::uint32_t> mapping_count = 0;
  std::atomic<Mapping*> last_copied = nullptr;
  // Where every pin for writing and every write passes; null while nobody keeps a log.
  std::atomic<DirtySink*> dirty_sink = nullptr;

  mutable Mutex mutex;
  std::unordered_map<const DmaUser*, std::shared_ptr<UserRecord>> users UMDEV_GUARDED_BY(mutex);
  UserList spare_users UMDEV_GUARDED_BY(mutex);
  std::vector<UserRecord*> records UMDEV_GUARDED_BY(mutex);  // all of them, by number
  UserRecord* first_user UMDEV_GUARDED_BY(mutex) =
      nullptr;                               // registered, and gets a seat in each new mapping
  UnmapList unmaps UMDEV_GUARDED_BY(mutex);  // begun and not yet gone
  Condition callers_changed;

 private:
  // pins.cc
  Seat* try_pin(const DmaUser& user, const IovaRange& range, Access access, PinWord::Value step,
                Seat*& wrong);
  Seat* look_up_and_pin(const DmaUser& user, UserRecord& record, IovaRange range, Access access,
                        PinWord::Value step, Seat*& wrong);
  // The seat of a user that is not the mapping's first, or null; a hint.
  static Seat* seat_behind(const Seat& first, const UserRecord& record);
  static bool serves(const Seat& seat, const DmaUser& user, const UserRecord& record, const IovaRange& range,
                     Access access);
  static bool take(Seat& seat, const DmaUser& user, const UserRecord& record, const IovaRange& range,
                   Access access, PinWord::Value step, Seat*& wrong);
  Result<DmaPin> pin_slowly(DmaUser& user, IovaRange range, Access access, Seat* wrong);
  Result<Seat*> seat_at(DmaUser& user, Iova iova, Access access, PinWord::Value step);
  Result<Seat*> pin_locked(DmaUser& user, Iova iova, Access access, PinWord::Value step)
      UMDEV_REQUIRES(mutex);
  // What is left to do once it is counted in.
  Result<DmaPin> finished_pin(Seat& seat, const IovaRange& range, Access access);
  Result<DmaPin> first_or_logged_pin(Seat& seat, IovaRange range, Access access);
  Seat& seat_of(Mapping& mapping, UserRecord& record) UMDEV_REQUIRES(mutex);
  static void bind(Seat& seat, const UserRecord& record, PinWord::Value quota);
  void collect(UserRecord& record) UMDEV_REQUIRES(mutex);
  static std::uint64_t take_unused(UserRecord& record, const std::vector<Seat*>& seats);
  void refund(UserRecord& record, std::uint64_t amount) UMDEV_REQUIRES(mutex);
  // Budgets are counted in PinWords, which have so many bits.
  std::uint64_t pin_limit() const {
    return limits.pins_per_user < PinWord::max_count ? limits.pins_per_user : PinWord::max_count;
  }

  // leases.cc
  static void note_move(UserRecord& record);
  Lease::Owner& owner_here() UMDEV_REQUIRES(mutex);
  void offer_lease(UserRecord& record, Seat& seat) UMDEV_REQUIRES(mutex);

  // copies.cc
  Mapping* try_copy(IovaRange range, Access access, Mapping*& wrong);
  static bool take_copy(Mapping& mapping, IovaRange range, Access access, Mapping*& wrong);
  Result<Mapping*> copy_at(Iova iova, Access access);

  // unmap.cc
  Result<MappingList> select(IovaRange range, UnmapRule rule) const UMDEV_REQUIRES(mutex);
  void begin(Unmap& unmap, IovaRange waits_for) UMDEV_REQUIRES(mutex);
  void tell_users(const Unmap& unmap, const UserList& told) UMDEV_EXCLUDES(mutex);
  void arm(const std::shared_ptr<Unmap>& unmap) UMDEV_EXCLUDES(mutex);
  void expire(const std::shared_ptr<Unmap>& unmap) UMDEV_EXCLUDES(mutex);
  bool ready(const Unmap& unmap) const { return !unmap.claimed && !unmap.notifying && unmap.busy == 0; }
  void claim(Unmap& unmap) UMDEV_REQUIRES(mutex);
  void retire(Unmap& unmap, UnmapList& ready) UMDEV_REQUIRES(mutex);

  StablePool<Mapping> mapping_pool_ UMDEV_GUARDED_BY(mutex);
  SeatPool seat_pool_ UMDEV_GUARDED_BY(mutex);
  std::deque<Lease::Owner> owners_ UMDEV_GUARDED_BY(mutex);
  std::vector<std::shared_ptr<DirtySink>> sinks_ UMDEV_GUARDED_BY(mutex);  // all, for readers that dawdle
};

// Holds a pin that spans several mappings.
class AddressSpace::SpanHolder final : public DmaPin::Holder {
 public:
  SpanHolder(std::vector<Seat*> seats, IovaRange range);
  void unpin(DmaPin& pin) override;
  bool revoked(const DmaPin& pin) const override;
  std::span<const DmaSegment> segments() const override { return segments_; }
  DmaFile file_of(const DmaPin& pin, const DmaSegment& segment) const override;
  bool intact() const;
  // Is one of its mappings going already?
  bool draining() const;

 private:
  const std::vector<Seat*> seats_;
  std::vector<DmaSegment> segments_;
};

}  // namespace umdev::iommu
