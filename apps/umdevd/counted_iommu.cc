#include "apps/umdevd/counted_iommu.h"

namespace umdev::daemon {

Result<std::shared_ptr<iommu::IommuInstance>> CountedIommu::open(std::uint32_t type) {
  auto instance = UMDEV_TRY(driver_->open(type));
  Lock lock(mutex_);
  std::erase_if(instances_, [](const auto& weak) { return weak.expired(); });
  instances_.push_back(instance);
  return instance;
}

IommuNumbers CountedIommu::numbers() const {
  std::vector<std::shared_ptr<iommu::IommuInstance>> living;  // asked, and dropped, with no lock held
  {
    Lock lock(mutex_);
    for (const auto& weak : instances_)
      if (auto instance = weak.lock()) living.push_back(std::move(instance));
  }
  IommuNumbers numbers{.containers = living.size()};
  for (const auto& instance : living) {
    numbers.mappings += instance->mapping_count();
    numbers.pins += instance->pin_count();
  }
  return numbers;
}

}  // namespace umdev::daemon
