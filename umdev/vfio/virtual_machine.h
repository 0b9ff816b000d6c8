// A virtual machine as VFIO knows it: an external user of groups. What KVM's vfio device is in the kernel.
#pragma once

#include <memory>
#include <vector>

#include "umdev/support/mutex.h"
#include "umdev/vfio/external_user.h"

namespace umdev::vfio {

// Holds the groups whose devices it is given, tells their devices of itself (User::virtual_machine, for
// devices opened after add()), and knows whether its DMA is coherent. Made by std::make_shared. Destroying it
// lets all groups go. Thread-safe.
class VirtualMachine : public std::enable_shared_from_this<VirtualMachine> {
 public:
  ~VirtualMachine();

  // KVM_DEV_VFIO_FILE_ADD. EEXIST: it has the group already; else the errors of ExternalUser::acquire.
  Result<> add_group(const std::shared_ptr<GroupFile>& file) UMDEV_EXCLUDES(mutex_);
  // KVM_DEV_VFIO_FILE_DEL. ENOENT: it does not have the group.
  Result<> remove_group(const GroupFile& file) UMDEV_EXCLUDES(mutex_);

  std::size_t group_count() const UMDEV_EXCLUDES(mutex_);
  // True while some group's DMA is not coherent: the guest's cache flushes then count.
  bool noncoherent() const UMDEV_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::vector<ExternalUser> groups_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
