// IOMMU groups of modules: for devices whose drivers do not leave that to VFIO, as mediated ones do.
#pragma once

#include <cstdint>
#include <memory>

#include "include/umdev/kernel/umdev/services.h"

namespace umdev::vfio {
class IommuGroup;
}

// A reference on one, as modules have it. Where only its number is known, `group` is null.
// NOLINTNEXTLINE(readability-identifier-naming): the kernel's
struct iommu_group {
  std::shared_ptr<umdev::vfio::IommuGroup> group;
  std::uint32_t number = 0;
};

namespace umdev::kernel {

// The services. What they give has a reference, which iommu_group_put() drops.
::iommu_group* iommu_group_alloc();
::iommu_group* iommu_group_get(::device* dev, bool allow_no_iommu);
void iommu_group_put(::iommu_group* group);
int iommu_group_add_device(::iommu_group* group, ::device* dev);
void iommu_group_remove_device(::device* dev);
int iommu_group_id(::iommu_group* group);

// A reference for the module.
::iommu_group* iommu_group_give(std::shared_ptr<vfio::IommuGroup> group);

// VFIO devices up to 5.18, by the struct device that they were added for.
int vfio_add_group_dev(::device* dev, const ::umdev_data_ops* ops, void* data, unsigned rules);
void* vfio_del_group_dev(::device* dev);
::vfio_device* vfio_device_get_from_dev(::device* dev);
void vfio_device_put(::vfio_device* object);
void* vfio_device_data(::vfio_device* object);

}  // namespace umdev::kernel
