// An IOMMU driver that knows its containers, for `umdev status`.
#pragma once

#include <memory>
#include <vector>

#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/mutex.h"

namespace umdev::daemon {

struct IommuNumbers {
  std::uint64_t containers = 0;
  std::uint64_t mappings = 0;
  std::uint64_t pins = 0;
};

// Any thread.
class CountedIommu final : public iommu::IommuDriver {
 public:
  explicit CountedIommu(std::shared_ptr<iommu::IommuDriver> driver) : driver_(std::move(driver)) {}

  IommuNumbers numbers() const UMDEV_EXCLUDES(mutex_);

  // ^iommu::IommuDriver
  std::string_view name() const override { return driver_->name(); }
  int check_extension(std::uint32_t extension) const override { return driver_->check_extension(extension); }
  Result<std::shared_ptr<iommu::IommuInstance>> open(std::uint32_t type) override UMDEV_EXCLUDES(mutex_);
  bool no_iommu() const override { return driver_->no_iommu(); }
  bool registers_devices() const override { return driver_->registers_devices(); }
  bool unregisters_devices() const override { return driver_->unregisters_devices(); }

 private:
  const std::shared_ptr<iommu::IommuDriver> driver_;
  mutable Mutex mutex_;
  std::vector<std::weak_ptr<iommu::IommuInstance>> instances_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::daemon
