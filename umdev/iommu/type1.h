// The type1 IOMMU driver: VFIO_TYPE1_IOMMU (v1) and VFIO_TYPE1v2_IOMMU, with the answers of Linux 7.2's
// vfio_iommu_type1. In a container of emulated groups nothing is pinned by mapping and every IOVA is valid;
// with a group in it whose device has DMA of its own, memory must be there and the addresses are those of an
// Intel IOMMU of 48 bits. Dirty pages are those that devices have written or pinned for writing
// (dirty_pages.h). What is said of memory that is not mapped means nothing. Not offered: VFIO_UPDATE_VADDR
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
//   with a physical group EINVAL an address that is not translated, MapRequest::memory_error, EFAULT no
//   memory; EFAULT the backing is shorter than the mapping.
// unmap: EINVAL unknown flags, or GET_DIRTY_BITMAP with ALL or VADDR; EBUSY VADDR; EINVAL iova misaligned;
//   EINVAL ALL with iova or size; EINVAL size 0 or misaligned; EOVERFLOW it wraps; EINVAL GET_DIRTY_BITMAP
//   while dirty pages are not tracked, with another page size than 4096, or a bitmap that is too short or
//   above Limits::dirty_bitmap_bytes; v2: EINVAL a mapping would be cut. The size in the answer is
//   AddressSpace::unmap's.
// start_dirty_pages, stop_dirty_pages: EACCES in v1; otherwise success, whatever was before.
// dirty_pages: EACCES in v1; EINVAL for the range, the page size, the bitmap, tracking that is off, or a
// range that
//   cuts a mapping.
// pin: EACCES in v1, unless a physical group is attached; then AddressSpace::pin's.
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
