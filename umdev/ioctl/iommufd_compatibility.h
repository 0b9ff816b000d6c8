// An iommufd in the place of a container: VFIO's own commands on one IOAS of it (the kernel's vfio_compat.c).
#pragma once

#include <memory>

#include "umdev/ioctl/file.h"
#include "umdev/iommu/iommufd.h"
#include "umdev/vfio/container.h"

namespace umdev::ioctl {

// A container whose groups' devices reach the compatibility IOAS, which the first group makes if there is
// none.
std::shared_ptr<vfio::Container> make_compatibility_container(const std::shared_ptr<iommu::Iommufd>& iommufd);

// GET_API_VERSION, CHECK_EXTENSION, SET_IOMMU, IOMMU_GET_INFO, MAP_DMA and UNMAP_DMA; ENOTTY for the rest.
void compatibility_command(iommu::Iommufd& iommufd, std::uint32_t command, std::uint64_t argument,
                           std::shared_ptr<Caller> caller, Done<Answer> done);

}  // namespace umdev::ioctl
