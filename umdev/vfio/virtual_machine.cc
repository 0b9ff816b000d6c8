#include "umdev/vfio/virtual_machine.h"

#include <algorithm>
#include <optional>

#include "umdev/abi/vfio.h"

namespace umdev::vfio {

// The groups point to their virtual machine weakly, so that they never keep it alive.
VirtualMachine::~VirtualMachine() = default;

Result<> VirtualMachine::add_group(const std::shared_ptr<GroupFile>& file) {
  auto user = UMDEV_TRY(ExternalUser::acquire(file));
  {
    Lock lock(mutex_);
    for (const ExternalUser& known : groups_)
      if (known.matches(*file)) return fail(EEXIST, "the virtual machine has this group already");
    groups_.push_back(std::move(user));
  }
  file->set_virtual_machine(weak_from_this());
  return {};
}

Result<> VirtualMachine::remove_group(const GroupFile& file) {
  std::optional<ExternalUser> leaving;
  {
    Lock lock(mutex_);
    const auto known = std::find_if(groups_.begin(), groups_.end(),
                                    [&](const ExternalUser& user) { return user.matches(file); });
    if (known == groups_.end()) return fail(ENOENT, "the virtual machine does not have this group");
    leaving = std::move(*known);
    groups_.erase(known);
  }
  leaving->file()->set_virtual_machine({});
  return {};
}

std::size_t VirtualMachine::group_count() const {
  Lock lock(mutex_);
  return groups_.size();
}

bool VirtualMachine::noncoherent() const {
  Lock lock(mutex_);
  return std::any_of(groups_.begin(), groups_.end(), [](const ExternalUser& user) {
    return user.check_extension(abi::vfio_dma_cc_iommu) <= 0;
  });
}

}  // namespace umdev::vfio
