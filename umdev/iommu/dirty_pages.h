// The dirty pages of a container (VFIO_IOMMU_DIRTY_PAGES): what every device in it has written.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/iommu/address_space.h"
#include "umdev/iommu/dirty_log.h"
#include "umdev/iommu/dirty_sink.h"
#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

// Of one address space, which outlives it but for the destructor. Pinned pages are dirty at each report: of
// the users that have a write tracker exactly those that are pinned for writing; of others all of each
// mapping in which something is. Any thread.
class DirtyPages {
 public:
  explicit DirtyPages(AddressSpace& space) : space_(space) {}

  // Nothing happens when it is on (off) already.
  void start() UMDEV_EXCLUDES(mutex_);
  void stop() UMDEV_EXCLUDES(mutex_);
  bool on() const { return on_.load(std::memory_order_acquire); }

  // The written pages of a valid, page aligned range, which are forgotten. `bitmap` has dirty_bitmap_size()
  // bytes at least. EINVAL while it is off.
  Result<> report(IovaRange range, Bytes bitmap) UMDEV_EXCLUDES(mutex_);
  // Nothing is mapped in this valid range any more, or not yet.
  void forget(IovaRange range);

  void add(DmaUser& user) UMDEV_EXCLUDES(mutex_);
  void remove(const DmaUser& user) UMDEV_EXCLUDES(mutex_);

 private:
  class Sink;
  void mark_pinned() UMDEV_EXCLUDES(mutex_);

  AddressSpace& space_;
  std::atomic<bool> on_ = false;
  Mutex mutex_;
  std::vector<DmaUser*> users_ UMDEV_GUARDED_BY(mutex_);
  // From the first start on.
  std::shared_ptr<Sink> sink_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::iommu
