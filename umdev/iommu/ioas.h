// An I/O address space of iommufd (IOAS): what is mapped where, independent of any device, with the rules of
// the kernel's io_pagetable. Devices that are attached reach it through its AddressSpace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "umdev/iommu/address_space.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

// [start, last], which unlike an IovaRange can be everything.
struct IovaSpan {
  Iova start = 0;
  Iova last = 0;
  friend constexpr bool operator==(const IovaSpan&, const IovaSpan&) = default;
};

// Threads: any. No lock is held while a DmaUser, a Backing or a Done is called.
class Ioas {
 public:
  struct Mapping {
    Iova iova = 0;
    std::uint64_t length = 0;
    Access access = Access::none;
    std::uint64_t user_address = 0;    // what place() aligns to
    std::shared_ptr<Backing> backing;  // null: nobody can reach the memory
    std::uint64_t backing_offset = 0;
    int memory_error = 0;  // why there is no backing: the answer where memory must be there
  };

  // The clock must outlive it.
  Ioas(Clock& clock, const Limits& limits) : space_(clock, limits) {}

  // IOMMU_IOAS_MAP with FIXED_IOVA. EINVAL an empty mapping, or one that is not aligned; EOVERFLOW it wraps;
  // EINVAL an address that a device cannot reach; EEXIST overlap; ENOSPC no mapping is left; memory_error,
  // EFAULT.
  Result<> map(const Mapping& mapping) UMDEV_EXCLUDES(mutex_);
  // The same wherever there is room; answers where. ENOSPC.
  Result<Iova> place(Mapping mapping) UMDEV_EXCLUDES(mutex_);
  // IOMMU_IOAS_COPY: several mappings, one behind the other from the first one's `iova` on, or wherever there
  // is room for all of them; all or none. Not empty.
  Result<> map_row(std::vector<Mapping> row) UMDEV_EXCLUDES(mutex_);
  Result<Iova> place_row(std::vector<Mapping> row) UMDEV_EXCLUDES(mutex_);
  // IOMMU_IOAS_UNMAP: whole mappings only. Completes with the number of bytes, as AddressSpace::unmap does.
  // EINVAL length 0; EOVERFLOW; ENOENT a mapping would be cut, or nothing is there. (0, 2^64 - 1) is
  // everything, and never fails.
  void unmap(Iova iova, std::uint64_t length, Done<std::uint64_t> done) UMDEV_EXCLUDES(mutex_);
  // What is mapped in a range, cut to it. EINVAL length 0; EOVERFLOW; ENOENT there is a hole.
  Result<std::vector<Mapping>> slices(Iova iova, std::uint64_t length) const UMDEV_EXCLUDES(mutex_);

  // IOMMU_IOAS_ALLOW_IOVAS: replaces the list from which place() takes, and which no device may narrow.
  // EINVAL a span that is empty, or two that overlap; EADDRINUSE one that a device cannot reach.
  Result<> allow(std::vector<IovaSpan> spans) UMDEV_EXCLUDES(mutex_);
  // IOMMU_IOAS_IOVA_RANGES: where something may be mapped, and to what it must be aligned.
  std::vector<IovaSpan> valid_spans() const UMDEV_EXCLUDES(mutex_);
  std::uint64_t alignment() const UMDEV_EXCLUDES(mutex_);
  // Must memory be there when it is mapped?
  bool needs_memory() const UMDEV_EXCLUDES(mutex_);
  std::uint32_t mapping_count() const UMDEV_EXCLUDES(mutex_);
  // Is something mapped in a range, in part or whole? False for a range that is empty or wraps.
  bool anything_in(Iova iova, std::uint64_t length) const UMDEV_EXCLUDES(mutex_);

  // A device begins (ends) to use it; `physical`: one with DMA of its own. EADDRINUSE: something is mapped,
  // or allowed, that it cannot reach; EFAULT: memory that is not there.
  Result<> attach(bool physical) UMDEV_EXCLUDES(mutex_);
  void detach(bool physical) UMDEV_EXCLUDES(mutex_);
  AddressSpace& space() { return space_; }

 private:
  Result<> check(const Mapping& mapping) const UMDEV_REQUIRES(mutex_);
  Result<> check_memory(const Mapping& mapping) const UMDEV_REQUIRES(mutex_);
  Result<> add(const Mapping& mapping) UMDEV_REQUIRES(mutex_);
  Result<> add_row(std::vector<Mapping>& row) UMDEV_REQUIRES(mutex_);
  Result<Iova> find_room(const Mapping& mapping) const UMDEV_REQUIRES(mutex_);
  std::vector<IovaSpan> spans() const UMDEV_REQUIRES(mutex_);
  bool overlaps(IovaSpan span) const UMDEV_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<Iova, Mapping> mappings_ UMDEV_GUARDED_BY(mutex_);
  std::vector<IovaSpan> allowed_ UMDEV_GUARDED_BY(mutex_);
  std::uint32_t devices_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::uint32_t physical_devices_ UMDEV_GUARDED_BY(mutex_) = 0;
  AddressSpace space_;
};

}  // namespace umdev::iommu
