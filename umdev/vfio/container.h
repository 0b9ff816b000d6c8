// Containers: an open of /dev/vfio/vfio. An IOMMU context that groups are put into.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/error.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {
class Iommufd;
}

namespace umdev::vfio {

class IommuGroup;

// Who calls. Decides only what the kernel decides by capability.
struct Caller {
  bool sys_rawio = false;  // CAP_SYS_RAWIO: may use no-iommu groups
};

// The IOMMU drivers that containers choose from, the last registered first.
class IommuDriverList {
 public:
  // EINVAL: registered already, or it registers devices but cannot unregister them (or the reverse).
  Result<> add(std::shared_ptr<iommu::IommuDriver> driver) UMDEV_EXCLUDES(mutex_);
  // Containers that use it keep it.
  void remove(const iommu::IommuDriver& driver) UMDEV_EXCLUDES(mutex_);
  std::vector<std::shared_ptr<iommu::IommuDriver>> snapshot() const UMDEV_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<iommu::IommuDriver>> drivers_ UMDEV_GUARDED_BY(mutex_);
};

// One open of the container file. Its shared_ptr is the file's reference count: a duplicated descriptor is a
// copy. Groups that are attached hold references too, so closing the file detaches nothing. Thread-safe.
class Container {
 public:
  Container(std::shared_ptr<IommuDriverList> drivers, Caller caller)
      : drivers_(std::move(drivers)), caller_(caller) {}
  // One that has its IOMMU from the start and keeps it: how an iommufd stands for a container. Its IOMMU
  // driver is not chosen (set_iommu() is EINVAL).
  Container(std::shared_ptr<iommu::IommuInstance> iommu, std::shared_ptr<iommu::Iommufd> iommufd,
            Caller caller)
      : caller_(caller), iommufd_(std::move(iommufd)), instance_(std::move(iommu)) {}
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  // VFIO_CHECK_EXTENSION. Without an IOMMU driver every registered one is asked and the first positive answer
  // counts; with one, only that one.
  int check_extension(std::uint32_t extension) const UMDEV_EXCLUDES(mutex_);

  // VFIO_SET_IOMMU. EINVAL without a group or with an IOMMU driver set already; ENODEV when no driver takes
  // the type; else the error of the last driver that tried. Groups that were attached before a failure are
  // detached again.
  Result<> set_iommu(std::uint32_t type) UMDEV_EXCLUDES(mutex_);

  // The IOMMU driver's instance, for every other command; EINVAL without one.
  Result<std::shared_ptr<iommu::IommuInstance>> iommu() const UMDEV_EXCLUDES(mutex_);

  // The group's side (Group calls these with its own lock held). attach: EPERM for a no-iommu group without
  // CAP_SYS_RAWIO or beside a real one; EBUSY when the IOMMU group's DMA is owned elsewhere; else the IOMMU
  // driver's error.
  Result<> attach_group(const std::shared_ptr<IommuGroup>& group, Caller caller) UMDEV_EXCLUDES(mutex_);
  // The last group out takes the IOMMU driver with it: mappings are gone, the container is as new.
  void detach_group(const IommuGroup& group) UMDEV_EXCLUDES(mutex_);

  // The iommufd that stands for it; null for a container proper.
  const std::shared_ptr<iommu::Iommufd>& iommufd() const { return iommufd_; }

  std::size_t group_count() const UMDEV_EXCLUDES(mutex_);

 private:
  bool driver_allowed(const iommu::IommuDriver& driver) const UMDEV_REQUIRES(mutex_);
  Result<> attach_all(iommu::IommuInstance& instance) UMDEV_REQUIRES(mutex_);

  const std::shared_ptr<IommuDriverList> drivers_;
  const Caller caller_;
  const std::shared_ptr<iommu::Iommufd> iommufd_;
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<IommuGroup>> groups_ UMDEV_GUARDED_BY(mutex_);
  bool no_iommu_ UMDEV_GUARDED_BY(mutex_) = false;
  std::shared_ptr<iommu::IommuDriver> driver_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<iommu::IommuInstance> instance_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
