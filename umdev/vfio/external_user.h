// External users: somebody other than VFIO itself (a hypervisor, as a rule) who must be sure that a group
// stays usable.
//
// The protocol (four steps of the kernel's vfio.c):
//   1. the VFIO user sets up as always: opens a container, puts groups into it, sets the IOMMU driver; then
//   all groups count as
//      ready;
//   2. the external user is given the group's file and acquires it: from then on the group cannot leave its
//   container, and
//      nothing behind it is disposed of, whatever the VFIO user closes;
//   3. it asks for the IOMMU group's number, to know what it has;
//   4. it drops the use; the last one out dissolves the container's use.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/vfio/group.h"

namespace umdev::vfio {

class Core;

// Move-only; destroying it is step 4. Thread-safe as a value.
class ExternalUser {
 public:
  // Step 2. EINVAL: null (no group's file), no container, or none with an IOMMU driver; EPERM: a group
  // without an IOMMU.
  static Result<ExternalUser> acquire(const std::shared_ptr<GroupFile>& file);
  // The same by device, for a driver that is its own external user: the group must be open by its VFIO user.
  // ENODEV.
  static Result<ExternalUser> acquire(const Core& core, const device::Device& device);

  // Step 3.
  std::uint32_t iommu_id() const { return use_.file()->group().iommu_group().number(); }

  // Is this the group that the file opens? Takes nothing.
  bool matches(const GroupFile& file) const { return &use_.file()->group() == &file.group(); }

  // VFIO_CHECK_EXTENSION of the group's container (abi::vfio_dma_cc_iommu is what a hypervisor asks).
  int check_extension(std::uint32_t extension) const { return use_.container()->check_extension(extension); }

  const std::shared_ptr<GroupFile>& file() const { return use_.file(); }

 private:
  explicit ExternalUser(ContainerUser use) : use_(std::move(use)) {}
  ContainerUser use_;
};

}  // namespace umdev::vfio
