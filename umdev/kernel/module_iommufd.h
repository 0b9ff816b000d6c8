// The services of a driver whose device is asked when its user's memory comes from an iommufd: its callbacks,
// and what vfio_iommufd_emulated_bind() and its like do in them. The callbacks are called by ModuleDevice.
#pragma once

#include "include/umdev/kernel/umdev/services.h"

namespace umdev::kernel {

void vfio_on_iommufd(::vfio_device* object, const ::umdev_iommufd_ops* ops);
int vfio_iommufd_bind(::vfio_device* object, ::iommufd_ctx* context, umdev_u32* device_id);
void vfio_iommufd_unbind(::vfio_device* object);
int vfio_iommufd_attach(::vfio_device* object, umdev_u32* id);
void vfio_iommufd_detach(::vfio_device* object);

}  // namespace umdev::kernel
