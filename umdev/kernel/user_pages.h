// The memory of a device's user as a module has it: pages by their IOVA, each pinned for as long as it is
// asked for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/page_arena.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/user.h"

namespace umdev::kernel {

// Any thread. No lock is held while the user is asked.
class UserPages {
 public:
  static constexpr int pages_max = 512;

  // From open to close. Without a user everything is let go.
  void set_user(vfio::User* user) UMDEV_EXCLUDES(mutex_);

  // All `count` pages from `iova` on, or none. A page that is pinned already is counted again. EINVAL: no
  // user, a count or an address that makes no sense; E2BIG; EPERM; and as vfio::User::pin.
  Result<> pin(std::uint64_t iova, int count, iommu::Access access, ::page** pages) UMDEV_EXCLUDES(mutex_);
  void unpin(std::uint64_t iova, int count) UMDEV_EXCLUDES(mutex_);
  // ENOTTY and the like: the container's back end, which is a module's, tells nobody of what goes.
  Result<> tells_unmaps() UMDEV_EXCLUDES(mutex_);
  // Copies; waits for memory that is not shared.
  Result<> copy(std::uint64_t iova, Bytes data, bool write) UMDEV_EXCLUDES(mutex_);

 private:
  struct Pinned {
    iommu::DmaPin pin;
    ::page page;
    int count = 1;
  };
  Result<::page*> pin_one(std::uint64_t iova, iommu::Access access) UMDEV_EXCLUDES(mutex_);

  Mutex mutex_;
  vfio::User* user_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  std::map<std::uint64_t, std::unique_ptr<Pinned>> pinned_ UMDEV_GUARDED_BY(mutex_);
};

// The services.
int vfio_pin_pages(::vfio_device* object, umdev_u64 iova, int count, int prot, ::page** pages);
void vfio_unpin_pages(::vfio_device* object, umdev_u64 iova, int count);
int vfio_dma_rw(::vfio_device* object, umdev_u64 iova, void* data, std::size_t size, bool write);
::vfio_device* vfio_of_device(::device* dev);
int vfio_on_unmap(::vfio_device* object, void (*unmap)(void*, umdev_u64, umdev_u64), void* data);

}  // namespace umdev::kernel
