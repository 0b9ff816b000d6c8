#include "umdev/vfio/group.h"

#include <algorithm>
#include <utility>

#include "umdev/support/assert.h"
#include "umdev/vfio/device_claim.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

std::string Group::name() const {
  const std::string number = std::to_string(iommu_group_->number());
  return no_iommu() ? "noiommu-" + number : number;
}

Result<std::shared_ptr<GroupFile>> Group::open(Caller caller) {
  {
    Lock lock(mutex_);
    if (retired_ || devices_.empty()) return fail(ENODEV, "the group has no device");
    if (no_iommu() && !caller.sys_rawio) return fail(EPERM, "a no-iommu group needs CAP_SYS_RAWIO");
    if (cdev_users_ > 0) return fail(EBUSY, "a device of the group is bound to an iommufd");
    if (opens_ > 0 && !iommu_group_->is_shared()) return fail(EBUSY, "the group is open already");
    ++opens_;
  }
  auto file = std::make_shared<GroupFile>(shared_from_this(), caller);
  Lock lock(mutex_);
  std::erase_if(files_, [](const auto& known) { return known.expired(); });
  files_.push_back(file);
  return file;
}

Result<> Group::add_cdev_user(const void* owner) {
  Lock lock(mutex_);
  if (retired_ || devices_.empty()) return fail(ENODEV, "the group has no device");
  if (opens_ > 0) return fail(EBUSY, "the group is open");
  if (iommu_group_->kind() == IommuGroup::Kind::physical) UMDEV_TRY(iommu_group_->claim_dma_owner(owner));
  ++cdev_users_;
  return {};
}

void Group::remove_cdev_user(const void* owner) {
  Lock lock(mutex_);
  if (iommu_group_->kind() == IommuGroup::Kind::physical) iommu_group_->release_dma_owner(owner);
  --cdev_users_;
}

std::shared_ptr<GroupFile> Group::open_file() const {
  Lock lock(mutex_);
  for (const auto& weak : files_)
    if (auto file = weak.lock()) return file;
  return nullptr;
}

void Group::add_device(std::shared_ptr<RegisteredDevice> device) {
  Lock lock(mutex_);
  devices_.push_back(std::move(device));
}

void Group::remove_device(const RegisteredDevice& device) {
  Lock lock(mutex_);
  std::erase_if(devices_, [&](const auto& known) { return known.get() == &device; });
}

// A file that is on its way out detaches by itself.
void Group::retire() {
  // Its group's mutex is ours, which the analysis cannot see.
  const auto detach = [](GroupFile& file) UMDEV_NO_THREAD_SAFETY_ANALYSIS { file.detach_container(); };
  std::vector<std::shared_ptr<GroupFile>> files;  // released after the lock is
  Lock lock(mutex_);
  retired_ = true;
  for (const auto& weak : files_) {
    auto file = weak.lock();
    if (!file) continue;
    detach(*file);
    files.push_back(std::move(file));
  }
}

std::vector<std::shared_ptr<RegisteredDevice>> Group::devices() const {
  Lock lock(mutex_);
  return devices_;
}

void Group::file_released(GroupFile& file) {
  const auto detach = [](GroupFile& ours) UMDEV_NO_THREAD_SAFETY_ANALYSIS { ours.detach_container(); };
  Lock lock(mutex_);
  detach(file);
  --opens_;
}

void GroupFile::detach_container() {
  if (!container_) return;
  container_->detach_group(*group_->iommu_group_);
  container_.reset();
  container_users_ = 0;
}

Result<GroupStatus> GroupFile::status() const {
  Lock lock(group_->mutex_);
  if (group_->retired_) return fail(ENODEV, "the group's last device was removed");
  if (container_) return GroupStatus{.viable = true, .container_set = true};
  const IommuGroup& group = *group_->iommu_group_;
  return GroupStatus{.viable = group.viable() && (group.is_shared() || !group.claimed())};
}

Result<> GroupFile::set_container(const std::shared_ptr<Container>& container) {
  Lock lock(group_->mutex_);
  if (container_) return fail(EINVAL, "the group is in a container already");
  if (group_->retired_) return fail(ENODEV, "the group's last device was removed");
  UMDEV_TRY(container->attach_group(group_->iommu_group_, caller_));
  container_ = container;
  container_users_ = 1;
  return {};
}

Result<> GroupFile::unset_container() {
  std::shared_ptr<Container> container;
  Lock lock(group_->mutex_);
  if (!container_) return fail(EINVAL, "the group is in no container");
  if (container_users_ != 1) return fail(EBUSY, "the group's container is in use");
  container = container_;
  detach_container();
  return {};
}

std::shared_ptr<Container> GroupFile::container() const {
  Lock lock(group_->mutex_);
  return container_;
}

Result<std::shared_ptr<RegisteredDevice>> GroupFile::find_device(std::string_view name) const {
  for (auto& device : group_->devices()) {
    const int match = device->match(name);
    if (match < 0) return fail(-match, "the device refused the name");
    if (match > 0) return device;
  }
  return fail(ENODEV, "the group has no device of that name");
}

void GroupFile::get_device(std::string_view name, Done<std::shared_ptr<DeviceFile>> done,
                           const std::optional<Uuid>& token) {
  auto device = find_device(name);
  if (!device) return done(std::unexpected(device.error()));
  auto user = ContainerUser::acquire(shared_from_this());
  if (!user) return done(std::unexpected(user.error()));
  if (Result<> allowed = (*device)->match_token(token); !allowed)
    return done(std::unexpected(allowed.error()));
  DeviceFile::open(std::move(*device), std::move(*user), std::move(done));
}

bool GroupFile::has_device(const RegisteredDevice& device) const {
  const auto devices = group_->devices();
  return std::any_of(devices.begin(), devices.end(),
                     [&](const auto& known) { return known.get() == &device; });
}

void GroupFile::set_virtual_machine(std::weak_ptr<VirtualMachine> machine) {
  Lock lock(group_->mutex_);
  std::swap(virtual_machine_, machine);
}

std::shared_ptr<VirtualMachine> GroupFile::virtual_machine() const {
  Lock lock(group_->mutex_);
  return virtual_machine_.lock();
}

Result<ContainerUser> ContainerUser::acquire(const std::shared_ptr<GroupFile>& file) {
  Lock lock(file->group_->mutex_);
  if (!file->container_) return fail(EINVAL, "the group is in no container");
  auto iommu = UMDEV_TRY(file->container_->iommu());
  if (file->group_->no_iommu() && !file->caller().sys_rawio)
    return fail(EPERM, "a no-iommu group needs CAP_SYS_RAWIO");
  ++file->container_users_;
  return ContainerUser(file, file->container_, std::move(iommu));
}

ContainerUser& ContainerUser::operator=(ContainerUser&& other) noexcept {
  if (this == &other) return *this;
  release();
  file_ = std::move(other.file_);
  container_ = std::move(other.container_);
  iommu_ = std::move(other.iommu_);
  return *this;
}

void ContainerUser::release() {
  if (!file_) return;
  {
    Lock lock(file_->group_->mutex_);
    // A group that was retired has left its container already.
    if (file_->container_users_ > 1) --file_->container_users_;
  }
  iommu_.reset();
  container_.reset();
  file_.reset();
}

}  // namespace umdev::vfio
