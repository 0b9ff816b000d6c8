// Inside of AddressSpace; included by this room's sources only.
//
// One mutex, State::mutex, guards everything that changes; what it guards in a Mapping, a UserRecord and an
// Unmap is said there. It is never held over a call to a DmaUser, a Backing, a Done or the clock.
//
// Life of an unmap: select() -> begin() marks the mappings as draining and counts those still in use -> users
// are called -> when the count is 0, or the deadline has passed, somebody claims it (claim(), once) ->
// finish() revokes what is left, tells the users that lost pins, takes the mappings out of the tree, and
// calls `done`.
#pragma once

#include <map>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "umdev/iommu/address_space.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

struct AddressSpace::UserRecord {
  UserRecord(DmaUser& dma_user, std::uint64_t number) : user(&dma_user), id(number) {}
  DmaUser* const user;
  const std::uint64_t id;  // of no other user before or after: the cookie of its pins
  // Guarded by State::mutex.
  std::uint32_t pins = 0;
  bool registered = true;
  std::vector<std::thread::id> callers;  // threads that are inside a call to the user
};

class AddressSpace::Mapping final : public DmaPin::Holder {
 public:
  struct PinCount {
    UserRecord* user;  // registered; entries of a user go when it is unregistered
    std::uint32_t count;
  };

  Mapping(std::shared_ptr<State> state, const MappingRequest& request, Bytes backing_memory);

  void unpin(DmaPin& pin) override;
  bool revoked(const DmaPin& pin) const override;

  // Why a device may not use it in this way, or nothing.
  Result<> check(Access wanted, bool pinning) const;
  bool intact() const { return backing->intact(); }
  bool idle() const { return pins.empty() && accesses == 0; }
  // The part of a range that lies in the mapping (they overlap), and the memory of such a part.
  IovaRange part(IovaRange wanted) const;
  DmaSegment segment(IovaRange wanted) const;
  std::uint64_t backing_end() const { return backing_offset + range.size; }

  const std::shared_ptr<State> space;
  const IovaRange range;
  const Access access;
  const std::shared_ptr<Backing> backing;
  const std::uint64_t backing_offset;
  std::byte* const memory;  // of the first byte, or null
  const int fd;
  const std::uint64_t fd_offset;

  // Guarded by space->mutex.
  std::vector<PinCount> pins;      // only counts above 0
  std::uint32_t accesses = 0;      // reads and writes under way
  std::uint32_t left_behind = 0;   // pins that nobody waits for any more
  bool alias_was_revoked = false;  // zero pages are where its memory was
  Unmap* unmap = nullptr;          // that drains it
};

struct AddressSpace::Unmap : std::enable_shared_from_this<Unmap> {
  struct Loser {
    std::shared_ptr<UserRecord> user;
    IovaRange range;
  };

  std::vector<std::shared_ptr<Mapping>> mappings;  // fixed once it has begun
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
};

class AddressSpace::State : public std::enable_shared_from_this<State> {
 public:
  using MappingList = std::vector<std::shared_ptr<Mapping>>;
  using UnmapList = std::vector<std::shared_ptr<Unmap>>;

  State(Clock& the_clock, const Limits& the_limits, Options the_options)
      : clock(the_clock), limits(the_limits), options(the_options) {}

  // address_space.cc
  Result<> map(const MappingRequest& request);
  Result<DmaPin> pin(DmaUser& user, IovaRange range, Access access);
  void unpin(Mapping& mapping, std::uint64_t user_id);
  bool pin_revoked(const Mapping& mapping, std::uint64_t user_id) const;
  void register_user(DmaUser& user);
  void unregister_user(DmaUser& user);
  // The mappings of a valid range, in order; EINVAL a hole, or what check() says of the first that refuses.
  Result<MappingList> cover(IovaRange range, Access access, bool pinning) UMDEV_REQUIRES(mutex);
  // The mapping at an address that is not draining, or null; valid while the mutex is held.
  const std::shared_ptr<Mapping>* find(Iova iova) UMDEV_REQUIRES(mutex);
  // The first mapping, draining or not, that does not end before an address.
  std::map<Iova, std::shared_ptr<Mapping>>::const_iterator first_at(Iova iova) const UMDEV_REQUIRES(mutex);
  bool overlaps(IovaRange range) const UMDEV_REQUIRES(mutex);

  // unmap.cc
  void unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done);
  void drop_all();
  void end_access(Mapping& mapping);
  // Finishes claimed unmaps, and those that thereby become ready.
  void finish(UnmapList ready) UMDEV_EXCLUDES(mutex);
  // To be called when a mapping may have become idle by the release of a pin or an access.
  void settle(Mapping& mapping, UnmapList& ready) UMDEV_REQUIRES(mutex);

  Clock& clock;
  const Limits limits;
  const Options options;

  mutable Mutex mutex;
  std::map<Iova, std::shared_ptr<Mapping>> mappings UMDEV_GUARDED_BY(mutex);  // by their first address
  const std::shared_ptr<Mapping>* last_hit UMDEV_GUARDED_BY(mutex) = nullptr;
  std::unordered_map<const DmaUser*, std::shared_ptr<UserRecord>> users UMDEV_GUARDED_BY(mutex);
  UserRecord* last_user UMDEV_GUARDED_BY(mutex) = nullptr;
  std::uint64_t next_user_id UMDEV_GUARDED_BY(mutex) = 1;
  std::uint32_t pin_count UMDEV_GUARDED_BY(mutex) = 0;
  UnmapList unmaps UMDEV_GUARDED_BY(mutex);  // begun and not yet gone
  Condition callers_changed;

 private:
  UserRecord* find_user(const DmaUser& user) UMDEV_REQUIRES(mutex);
  void add_pin(Mapping& mapping, UserRecord& user) UMDEV_REQUIRES(mutex);
  // Nobody waits for these pins any more.
  void leave_behind(Mapping& mapping, std::size_t index) UMDEV_REQUIRES(mutex);
  Result<DmaPin> pin_spanning(DmaUser& user, IovaRange range, Access access);

  Result<MappingList> select(IovaRange range, UnmapRule rule) const UMDEV_REQUIRES(mutex);
  void begin(Unmap& unmap, IovaRange waits_for) UMDEV_REQUIRES(mutex);
  void tell_users(const Unmap& unmap, const std::vector<std::shared_ptr<UserRecord>>& told)
      UMDEV_EXCLUDES(mutex);
  void arm(const std::shared_ptr<Unmap>& unmap, Time deadline) UMDEV_EXCLUDES(mutex);
  void expire(const std::shared_ptr<Unmap>& unmap) UMDEV_EXCLUDES(mutex);
  bool ready(const Unmap& unmap) const { return !unmap.claimed && !unmap.notifying && unmap.busy == 0; }
  void claim(Unmap& unmap) UMDEV_REQUIRES(mutex);
  void retire(Unmap& unmap, UnmapList& ready) UMDEV_REQUIRES(mutex);
  // Calls a user, unless it has been unregistered meanwhile.
  void call_user(UserRecord& record, void (DmaUser::*function)(IovaRange), IovaRange range)
      UMDEV_EXCLUDES(mutex);
};

// Holds a pin that spans several mappings.
class AddressSpace::SpanHolder final : public DmaPin::Holder {
 public:
  explicit SpanHolder(State::MappingList mappings) : mappings_(std::move(mappings)) {}
  void unpin(DmaPin& pin) override;
  bool revoked(const DmaPin& pin) const override;
  bool intact() const;
  std::vector<DmaSegment> segments(IovaRange range) const;

 private:
  const State::MappingList mappings_;
};

}  // namespace umdev::iommu
