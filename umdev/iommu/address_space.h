// One container's view of its user's memory: which IOVA leads to which backing, who has pinned it, and how a
// mapping goes away while devices still use it. The rules of a particular back end (alignment, flags, which
// errno first) are the back end's (type1.h); this class knows mappings, pins and accesses.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/dirty_sink.h"
#include "umdev/iommu/dma_pin.h"
#include "umdev/iommu/iommu_driver.h"
#include "umdev/iommu/types.h"
#include "umdev/support/host.h"
#include "umdev/support/limits.h"

namespace umdev::iommu {

// Which mappings a request to unmap a range means.
enum class UnmapRule : std::uint8_t {
  // type1v2: every mapping in the range. One that the start or the end of the range would cut is EINVAL, and
  // nothing is unmapped.
  whole,
  // type1 (v1): every mapping whose first address lies in the range goes as a whole, also what lies beyond
  // the
  // range. A range that begins inside a mapping unmaps nothing, with success.
  first_address,
  // Every mapping that there is; the range is ignored.
  everything,
};

// A mapping to be made. `backing` may be null: memory that nobody here can reach (as a vaddr without memory
// behind it, which the kernel accepts where nothing is pinned); pins and accesses of it are EFAULT.
struct MappingRequest {
  IovaRange range;
  Access access = Access::none;
  std::shared_ptr<Backing> backing;
  std::uint64_t backing_offset = 0;
};

// Pins for writing of one mapping, as pinned_for_writing() counts them.
struct PinnedForWriting {
  IovaRange mapping;
  std::uint32_t pins = 0;
};

// Threads: every member is safe from any thread, and no pin, unpin, read or write waits for a thread that
// maps or unmaps elsewhere (the first pin of a mapping, what ends in an error, and the drop of a pin of
// a place that was pinned often may wait for a lock for a moment). No lock is held while a DmaUser, a
// Backing or a Done is called, nor while memory is copied, so all of them may call back in here.
// Lifetime: pins and accesses that are under way keep what they need of the space alive, so it may be
// destroyed while they live; the clock must outlive the space, and users must have been unregistered before.
//
// A mapping that goes while pins of it are left (the deadline of an unmap has passed, its user was
// unregistered without dropping them, the space was destroyed) is revoked: its slice of the backing becomes
// zero pages (Backing::revoke), those pins say revoked(), and dropping them later does nothing. Another
// mapping of the same bytes of the same backing would now show zero pages as well; new pins and accesses of
// such a one are EFAULT.
class AddressSpace {
 public:
  struct Options {
    // What a mapping must allow for write(): type1 wants Access::read_write, as the kernel's dma_rw does.
    Access write_needs = Access::write;
  };

  // `limits`: mappings_per_container, pins_per_user, unmap_deadline.
  AddressSpace(Clock& clock, const Limits& limits, Options options);
  AddressSpace(Clock& clock, const Limits& limits);
  // As drop_all(), and users are not called any more.
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // EINVAL an empty, wrapping or misaligned range; EEXIST it overlaps a mapping, also one that is on its way
  // out; ENOSPC no mapping is left; EFAULT the backing is shorter than the mapping.
  Result<> map(const MappingRequest& request);

  // Completes with the number of bytes that were unmapped (0 is success).
  // At once: the mappings are draining, that is, new pins and accesses of them are EINVAL as if they were
  // gone. Then dma_unmap of every user that pins is called with the range of each mapping, on this thread.
  // Then, when the last pin and the last access is gone, or Limits::unmap_deadline after the call, they are
  // gone, and `done` is called: on this thread, on the one that dropped the last pin, or on the clock's. At
  // the deadline the mappings that are still pinned are revoked, and the users that hold pins there (only
  // those) are told by pins_revoked before `done`. EINVAL: as UnmapRule says, or an empty or wrapping range.
  // Two requests that overlap are answered as if the second came after the first had ended: it neither counts
  // nor is cut by what is draining, but completes only after that is gone, so that a new mapping there
  // succeeds.
  void unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done);

  // All or nothing, of any number of bytes at any address (the kernel's pins are whole pages), across
  // adjoining mappings; pieces that adjoin in memory and file are one segment. Allocates nothing when the
  // range lies in one mapping. A pin counts once for each mapping it touches. EINVAL an empty range, a hole
  // in it, or a user that is not registered; EOVERFLOW it wraps; EPERM not mapped for this access; EOPNOTSUPP
  // memory that is not mapped here; ENOMEM over Limits::pins_per_user (at most 2^20 - 1); EFAULT no memory,
  // or memory that went bad.
  Result<DmaPin> pin(DmaUser& user, IovaRange range, Access access);

  // Copy from and to memory of every kind; mapped memory before they return, memory behind messages later (in
  // the order of the addresses). `into` and `from` must live until `done`. All mappings of the range are
  // checked before a byte moves; an error of the memory itself (EFAULT, or what Backing::read and write
  // answer) may leave the part before it transferred. EINVAL nothing to copy, or a hole; EOVERFLOW the range
  // wraps; EPERM not mapped for this access; EFAULT.
  void read(Iova iova, Bytes into, Done<> done);
  void write(Iova iova, ConstBytes from, Done<> done);
  // Would they be over when they return? Says so of one mapping at a time: false of a range that several
  // hold.
  bool copies_at_once(IovaRange range) const;

  // A user that pins may do so from its registration on, and is told of every unmap. Registering one twice is
  // an assertion.
  void register_user(DmaUser& user);
  // Afterwards the user is not called again: waits for a call that another thread makes to it at this moment
  // (not for one that this thread is inside, so a user may unregister in its own callback). Its pins that are
  // left are no longer waited for and say revoked(). Nothing happens for a user that is not registered.
  void unregister_user(DmaUser& user);

  // Every mapping goes at once, and unmaps that are waiting complete with success. Users are not told (the
  // kernel does not tell them when the last group leaves either).
  void drop_all();

  // From now on `sink` is told of every pin for writing and of every write(); null ends it. Pins that were
  // there before are what pinned_for_writing() says, called after this (a pin that is made meanwhile may be
  // in both). The space keeps every sink that it was ever given, so use one again rather than many.
  void set_dirty_sink(std::shared_ptr<DirtySink> sink);
  // The mappings in which pins for writing are held at this moment, with how many.
  std::vector<PinnedForWriting> pinned_for_writing() const;

  // Every mapping that is not draining, by address.
  std::vector<StandingMapping> mappings() const;
  // Is anything mapped in a (valid) range, also if it is draining?
  bool is_mapped(IovaRange range) const;
  // Does a mapping reach over the start or the end of a (valid) range?
  bool cuts(IovaRange range) const;
  // Mappings, draining ones too; how many more there may be; pins, once for each mapping they touch.
  std::uint32_t mapping_count() const;
  std::uint32_t mappings_available() const;
  std::uint32_t pin_count() const;

 private:
  class State;
  class Lease;
  class Mapping;
  class Seat;
  class SeatPool;
  class SpanHolder;
  class Transfer;
  struct UserRecord;
  struct Unmap;

  std::shared_ptr<State> state_;
};

}  // namespace umdev::iommu
