#include "umdev/vfio/external_user.h"

#include "umdev/vfio/core.h"

namespace umdev::vfio {

Result<ExternalUser> ExternalUser::acquire(const std::shared_ptr<GroupFile>& file) {
  if (!file) return fail(EINVAL, "not the file of a group");
  if (file->group().no_iommu()) return fail(EPERM, "a group without an IOMMU has no external users");
  return ExternalUser(UMDEV_TRY(ContainerUser::acquire(file)));
}

Result<ExternalUser> ExternalUser::acquire(const Core& core, const device::Device& device) {
  const DeviceRef found = core.find(device);
  if (!found) return fail(ENODEV, "the device is not registered with VFIO");
  return acquire(found->group()->open_file());
}

}  // namespace umdev::vfio
