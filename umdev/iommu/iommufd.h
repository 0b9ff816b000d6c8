// An open of /dev/iommu: a table of objects with small numbers (the kernel's iommufd_ctx). IOAS, hardware
// page tables, and the devices that are bound to it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "umdev/iommu/ioas.h"
#include "umdev/iommu/ioas_access.h"
#include "umdev/support/host.h"
#include "umdev/support/limits.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

// Made by std::make_shared: what is bound to it keeps it. Numbers begin at 1, the lowest free first.
// Threads: any; attach() and detach() of one device one after another.
class Iommufd {
 public:
  static constexpr std::uint32_t objects_max = 65536;

  // The clock must outlive it.
  Iommufd(Clock& clock, const Limits& limits) : clock_(clock), limits_(limits) {}

  // IOMMU_IOAS_ALLOC. ENOSPC.
  Result<std::uint32_t> add_ioas() UMDEV_EXCLUDES(mutex_);
  // ENOENT: no such object, or one of another kind.
  Result<std::shared_ptr<Ioas>> ioas(std::uint32_t id) const UMDEV_EXCLUDES(mutex_);
  // IOMMU_DESTROY. ENOENT; EBUSY: it is used by another object, or a bound device.
  Result<> destroy(std::uint32_t id) UMDEV_EXCLUDES(mutex_);
  bool empty() const UMDEV_EXCLUDES(mutex_);

  // A device is bound. ENOSPC.
  Result<std::uint32_t> add_device(std::shared_ptr<IoasAccess> access) UMDEV_EXCLUDES(mutex_);
  // Its binding ends: it is detached, and its number is free.
  void remove_device(std::uint32_t id) UMDEV_EXCLUDES(mutex_);
  // The number of the device whose way here this is; nothing for one that is bound elsewhere.
  std::optional<std::uint32_t> device_of(const IommuInstance& access) const UMDEV_EXCLUDES(mutex_);
  // Is there such a device, with DMA of its own (IOMMU_GET_HW_INFO)? ENOENT.
  Result<> check_physical_device(std::uint32_t id) const UMDEV_EXCLUDES(mutex_);
  // VFIO_DEVICE_ATTACH_IOMMUFD_PT: replaces what it was attached to. Answers with the object that it is
  // attached to: of a device with DMA of its own a hardware page table, which an IOAS makes by itself.
  // ENOENT; EINVAL an object of another kind; Ioas::attach's errors.
  Result<std::uint32_t> attach(std::uint32_t device, std::uint32_t id) UMDEV_EXCLUDES(mutex_);
  // Success also for one that is attached nowhere.
  void detach(std::uint32_t device) UMDEV_EXCLUDES(mutex_);

  // IOMMU_HWPT_ALLOC for a device with DMA of its own, from an IOAS, without flags. ENOENT; EINVAL.
  Result<std::uint32_t> add_page_table(std::uint32_t device, std::uint32_t ioas) UMDEV_EXCLUDES(mutex_);

  // The IOAS that VFIO's own commands mean (IOMMU_VFIO_IOAS). ENODEV without one; ENOENT.
  Result<std::uint32_t> compatibility_ioas() const UMDEV_EXCLUDES(mutex_);
  Result<> set_compatibility_ioas(std::uint32_t id) UMDEV_EXCLUDES(mutex_);
  void clear_compatibility_ioas() UMDEV_EXCLUDES(mutex_);
  // The same, made when there is none.
  Result<std::shared_ptr<Ioas>> need_compatibility_ioas() UMDEV_EXCLUDES(mutex_);

 private:
  enum class Kind : std::uint8_t { ioas, page_table, device };
  struct Object {
    Kind kind = Kind::ioas;
    std::shared_ptr<Ioas> ioas;  // of a page table, the one that it was made of
    std::uint32_t parent = 0;    // of a page table: the IOAS's number; of a device: what it is attached to
    std::uint32_t users = 0;     // page tables and devices that refer to it
    bool automatic = false;      // a page table that goes with its last device
    std::shared_ptr<IoasAccess> access;  // of a device
  };

  Result<std::uint32_t> add(Object object) UMDEV_REQUIRES(mutex_);
  Object* find(std::uint32_t id, Kind kind) UMDEV_REQUIRES(mutex_);
  Result<std::uint32_t> add_page_table_of(std::uint32_t ioas, bool automatic) UMDEV_REQUIRES(mutex_);
  Result<std::uint32_t> find_target(const IoasAccess& access, std::uint32_t id) UMDEV_REQUIRES(mutex_);
  void let_go(std::uint32_t id) UMDEV_REQUIRES(mutex_);

  Clock& clock_;
  const Limits limits_;
  mutable Mutex mutex_;
  std::map<std::uint32_t, Object> objects_ UMDEV_GUARDED_BY(mutex_);
  std::uint32_t compatibility_ UMDEV_GUARDED_BY(mutex_) = 0;
};

}  // namespace umdev::iommu
