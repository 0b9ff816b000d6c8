// External users of groups in modules: what a hypervisor or a driver has of a group that somebody else opened
// (vfio::ExternalUser), and the virtual machine that devices are told of.
#pragma once

#include "include/umdev/kernel/umdev/services.h"

namespace umdev::kernel {

// The services. In a call of a module.

// The file that the VFIO user has the device's group open by: a reference; null where nobody has. In the
// kernel it comes as its user's descriptor.
::file* group_file(::module* owner, ::device* dev);
// By the group's file, or by a device of it. -EINVAL: not a group's file, no container, no IOMMU; -EPERM: a
// group without one; -ENODEV.
::vfio_group* vfio_group_acquire(::module* owner, ::device* dev, ::file* file);
void vfio_group_release(::vfio_group* group);
int vfio_group_id(::vfio_group* group);
long vfio_group_check_extension(::vfio_group* group, unsigned long extension);
bool vfio_group_is_of_file(::vfio_group* group, ::file* file);
// The one device of it, where pins are made; null: there are more, or it is no module's.
::vfio_device* vfio_group_device(::vfio_group* group);
void vfio_group_set_kvm(::vfio_group* group, ::kvm* machine);

::iommu_group* vfio_file_iommu_group(::file* file);
bool vfio_file_has_dev(::file* file, ::vfio_device* object);
bool vfio_file_enforced_coherent(::file* file);
void vfio_file_set_kvm(::file* file, ::kvm* machine);
::iommu_domain* vfio_group_iommu_domain(::vfio_group* group);
int vfio_on_kvm(::vfio_device* object, void (*tell)(void*, ::kvm*), void* data);

}  // namespace umdev::kernel
