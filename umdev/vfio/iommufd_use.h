// A device's use of an iommufd, as the framework does it: what the kernel's vfio_iommufd_emulated_bind() and
// its like do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "umdev/iommu/iommufd.h"
#include "umdev/support/mutex.h"

namespace umdev::vfio {

// From one open of the device to its close. Any thread; one step at a time: a driver that comes with a second
// one is EBUSY, and ENODEV when the device was closed meanwhile. No lock is held while users are told.
class IommufdUse {
 public:
  // `physical`: the device has DMA of its own.
  IommufdUse(std::shared_ptr<iommu::Iommufd> iommufd, bool physical)
      : iommufd_(std::move(iommufd)), access_(std::make_shared<iommu::IoasAccess>(physical)) {}
  ~IommufdUse() { give_back(); }
  IommufdUse(const IommufdUse&) = delete;
  IommufdUse& operator=(const IommufdUse&) = delete;

  const std::shared_ptr<iommu::Iommufd>& iommufd() const { return iommufd_; }
  // The way to the memory. Pins by a device that is not bound are EINVAL, of one that is not attached ENOENT.
  const std::shared_ptr<iommu::IoasAccess>& access() const { return access_; }

  // The device's number in the iommufd. EBUSY: it is bound; ENOSPC.
  Result<std::uint32_t> bind() UMDEV_EXCLUDES(mutex_);
  // Detached first. Nothing happens where it is not bound.
  Result<> unbind() UMDEV_EXCLUDES(mutex_);
  // Iommufd::attach and detach. EINVAL: it is not bound.
  Result<std::uint32_t> attach(std::uint32_t object) UMDEV_EXCLUDES(mutex_);
  Result<> detach() UMDEV_EXCLUDES(mutex_);

  // The device is closed. From then on no step begins, and none is under way: one that another thread is in
  // is waited for (it is short, unless the device hangs in dma_unmap()).
  void close() UMDEV_EXCLUDES(mutex_);
  // Afterwards: what the device has not given back is taken.
  void give_back();

 private:
  class Step;

  const std::shared_ptr<iommu::Iommufd> iommufd_;
  const std::shared_ptr<iommu::IoasAccess> access_;
  Mutex mutex_;
  Condition step_over_;
  std::thread::id in_step_ UMDEV_GUARDED_BY(mutex_);  // nobody, as a rule
  bool closed_ UMDEV_GUARDED_BY(mutex_) = false;
  // Only whoever is in a step touches it; after close(), give_back().
  std::optional<std::uint32_t> id_;
};

}  // namespace umdev::vfio
