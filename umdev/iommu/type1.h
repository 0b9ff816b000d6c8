// The type1 IOMMU driver: VFIO_TYPE1_IOMMU (v1) and VFIO_TYPE1v2_IOMMU, with the answers of Linux 7.2's
// vfio_iommu_type1 for a container of emulated groups (nothing is pinned by mapping, every IOVA is valid).
// Not here yet: dirty page tracking. VFIO_IOMMU_DIRTY_PAGES is the doors' to refuse, and an unmap that asks
// for a dirty bitmap is EINVAL, as in the kernel while tracking is off. Not offered: VFIO_UPDATE_VADDR
// (memory is reached through backings, so there is no vaddr to replace). Its extension is 0 and an unmap with
// VADDR is EBUSY, as in the kernel for a container with an emulated group.
#pragma once

#include <memory>
#include <string_view>

#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/host.h"
#include "umdev/support/limits.h"

namespace umdev::iommu {

// Errors of its instances, in the order in which they are checked.
// map: EINVAL unknown flags; EINVAL size 0; EOVERFLOW iova or vaddr wraps; EINVAL neither READ, WRITE nor
// VADDR,
//   or VADDR with one of the others; EINVAL size, iova or vaddr misaligned; for VADDR: ENOENT nothing is
//   mapped there, EINVAL otherwise (no mapping ever lost its vaddr); EEXIST overlap; ENOSPC no mapping left;
//   EFAULT the backing is shorter than the mapping.
// unmap: EINVAL unknown flags, or GET_DIRTY_BITMAP with ALL or VADDR; EBUSY VADDR; EINVAL iova misaligned;
//   EINVAL ALL with iova or size; EINVAL size 0 or misaligned; EOVERFLOW it wraps; EINVAL GET_DIRTY_BITMAP;
//   v2: EINVAL a mapping would be cut. The size in the answer is AddressSpace::unmap's.
// pin: EACCES in v1; then AddressSpace::pin's.
// dma_read, dma_write: AddressSpace's; writing needs a mapping with READ and WRITE (the kernel's rule).
// attach_group: EINVAL attached already. When the last group is detached all mappings go.
class Type1Driver final : public IommuDriver {
 public:
  // The clock must outlive the instances. `limits`: see AddressSpace.
  explicit Type1Driver(Clock& clock, const Limits& limits = {});

  std::string_view name() const override { return "vfio-iommu-type1"; }
  int check_extension(std::uint32_t extension) const override;
  // VFIO_TYPE1_IOMMU: v1. VFIO_TYPE1v2_IOMMU and VFIO_TYPE1_NESTING_IOMMU: v2. EINVAL otherwise.
  Result<std::shared_ptr<IommuInstance>> open(std::uint32_t type) override;

 private:
  Clock& clock_;
  const Limits limits_;
};

}  // namespace umdev::iommu
