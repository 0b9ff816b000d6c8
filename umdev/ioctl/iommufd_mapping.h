// The commands of an iommufd that map.
#pragma once

#include <memory>

#include "umdev/ioctl/file.h"
#include "umdev/iommu/iommufd.h"

namespace umdev::ioctl {

Result<> ioas_allow_iovas(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument);
Result<> ioas_iova_ranges(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument);
Result<> ioas_map(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument);
Result<> ioas_map_file(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument);
Result<> ioas_copy(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument);
void ioas_unmap(iommu::Iommufd& iommufd, std::shared_ptr<Caller> caller, UserAddress argument,
                Done<Answer> done);

// A mapping of the caller's own memory, with why there is none. Where memory must be there it counts as
// locked.
iommu::Ioas::Mapping mapping_of(Caller& caller, const iommu::Ioas& ioas, UserAddress user_address,
                                std::uint64_t length, iommu::Access access);

}  // namespace umdev::ioctl
