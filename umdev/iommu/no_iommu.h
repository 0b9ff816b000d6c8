// The no-iommu IOMMU driver (vfio_noiommu_ops): a container without isolation, in which nothing can be mapped
// or pinned. Register it only where the operator asked for it (the kernel's enable_unsafe_noiommu_mode): a
// core that has none answers VFIO_NOIOMMU_IOMMU with 0.
#pragma once

#include <memory>
#include <string_view>

#include "umdev/iommu/iommu_driver.h"

namespace umdev::iommu {

// Its instances take every group and answer ENOTTY to info, map, unmap, pin, dma_read and dma_write.
class NoIommuDriver final : public IommuDriver {
 public:
  std::string_view name() const override { return "vfio-noiommu"; }
  // 1 for VFIO_NOIOMMU_IOMMU, with and without an instance.
  int check_extension(std::uint32_t extension) const override;
  // EINVAL for any other type. That the opener may use raw I/O (CAP_SYS_RAWIO) is checked at the door.
  Result<std::shared_ptr<IommuInstance>> open(std::uint32_t type) override;
  bool no_iommu() const override { return true; }
  bool registers_devices() const override { return false; }
  bool unregisters_devices() const override { return false; }
};

}  // namespace umdev::iommu
