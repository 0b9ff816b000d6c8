// The commands of the type1 IOMMU driver on a container: GET_INFO, MAP_DMA, UNMAP_DMA, DIRTY_PAGES.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/ioctl/caller.h"
#include "umdev/ioctl/file.h"
#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/limits.h"
#include "umdev/vfio/capability_chain.h"

namespace umdev::ioctl {

// ENOTTY for any other command. `limits`: how long a bitmap may be.
void type1_command(std::shared_ptr<iommu::IommuInstance> iommu, std::uint32_t command, UserAddress argument,
                   std::shared_ptr<Caller> caller, const Limits& limits, Done<Answer> done);

// The capabilities of VFIO_IOMMU_GET_INFO that the kernel's type1 has, in its order; those that `info` has
// nothing for are left out.
Result<vfio::CapabilityChain> iommu_capabilities(const iommu::IommuInfo& info);

}  // namespace umdev::ioctl
