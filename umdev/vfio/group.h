// VFIO groups: an IOMMU group as user space sees it, and the file that opens it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/support/done.h"
#include "umdev/support/mutex.h"
#include "umdev/support/uuid.h"
#include "umdev/vfio/container.h"
#include "umdev/vfio/iommu_group.h"

namespace umdev::vfio {

class DeviceFile;
class GroupFile;
class RegisteredDevice;
class VirtualMachine;

// VFIO_GROUP_GET_STATUS.
struct GroupStatus {
  bool viable = false;
  bool container_set = false;
};

// One VFIO group for one IOMMU group, from its first VFIO device to its last. Thread-safe.
// Lock order: Core, then Group, then Container, then IommuGroup.
class Group : public std::enable_shared_from_this<Group> {
 public:
  Group(std::shared_ptr<IommuGroup> iommu_group, std::uint32_t minor)
      : iommu_group_(std::move(iommu_group)), minor_(minor) {}

  std::uint32_t minor() const { return minor_; }
  const IommuGroup& iommu_group() const { return *iommu_group_; }
  const std::shared_ptr<IommuGroup>& shared_iommu_group() const { return iommu_group_; }
  bool no_iommu() const { return iommu_group_->kind() == IommuGroup::Kind::no_iommu; }

  // The name under /dev/vfio: the IOMMU group's number, "noiommu-N" for a group without isolation.
  std::string name() const;

  // ENODEV when it has no device any more; EPERM for a no-iommu group without CAP_SYS_RAWIO; EBUSY while a
  // device of it is bound to an iommufd, and while it is open, which it is until its file and every device
  // opened through it are closed. A group whose device allows several users may be open several times, each
  // time in a container of its own.
  Result<std::shared_ptr<GroupFile>> open(Caller caller) UMDEV_EXCLUDES(mutex_);

  // One of its devices is used by its own node (CdevUser): until that ends open() is EBUSY. `owner` claims
  // the group's DMA, where its devices have any. EBUSY while the group is open, or owned by somebody else;
  // ENODEV.
  Result<> add_cdev_user(const void* owner) UMDEV_EXCLUDES(mutex_);
  void remove_cdev_user(const void* owner) UMDEV_EXCLUDES(mutex_);

  // The file that has it open (the first of several), or null.
  std::shared_ptr<GroupFile> open_file() const UMDEV_EXCLUDES(mutex_);

  // Core's side.
  void add_device(std::shared_ptr<RegisteredDevice> device) UMDEV_EXCLUDES(mutex_);
  // Hides the device from new opens.
  void remove_device(const RegisteredDevice& device) UMDEV_EXCLUDES(mutex_);
  // Called when the last device's registration ends: blocks all new users and leaves the container.
  void retire() UMDEV_EXCLUDES(mutex_);
  std::vector<std::shared_ptr<RegisteredDevice>> devices() const UMDEV_EXCLUDES(mutex_);

 private:
  friend class GroupFile;
  friend class ContainerUser;
  void file_released(GroupFile& file) UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<IommuGroup> iommu_group_;
  const std::uint32_t minor_;
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<RegisteredDevice>> devices_ UMDEV_GUARDED_BY(mutex_);
  std::uint32_t opens_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::vector<std::weak_ptr<GroupFile>> files_ UMDEV_GUARDED_BY(mutex_);
  std::uint32_t cdev_users_ UMDEV_GUARDED_BY(mutex_) = 0;
  bool retired_ UMDEV_GUARDED_BY(mutex_) = false;
};

// One open of /dev/vfio/N. Its shared_ptr is the file's reference count; devices opened through it hold one
// too, so a group file that was closed first is released when its last device is. Releasing it leaves the
// container. Thread-safe.
class GroupFile : public std::enable_shared_from_this<GroupFile> {
 public:
  GroupFile(std::shared_ptr<Group> group, Caller caller) : group_(std::move(group)), caller_(caller) {}
  ~GroupFile() { group_->file_released(*this); }
  GroupFile(const GroupFile&) = delete;
  GroupFile& operator=(const GroupFile&) = delete;

  // VFIO_GROUP_GET_STATUS. ENODEV after the last device was removed.
  Result<GroupStatus> status() const;

  // VFIO_GROUP_SET_CONTAINER. EINVAL in one already; ENODEV after the last device was removed; the errors of
  // Container::attach_group.
  Result<> set_container(const std::shared_ptr<Container>& container);
  // VFIO_GROUP_UNSET_CONTAINER. EINVAL in none; EBUSY while a device is open or an external user holds it.
  Result<> unset_container();

  // VFIO_GROUP_GET_DEVICE_FD. ENODEV no device of that name (looked for first); a negative answer of
  // Device::match; EINVAL without a container, or one without an IOMMU driver; EPERM no-iommu without
  // CAP_SYS_RAWIO; EIO a faulted device; else the error of open_device.
  void get_device(std::string_view name, Done<std::shared_ptr<DeviceFile>> done,
                  const std::optional<Uuid>& token = std::nullopt);

  const Group& group() const { return *group_; }
  const std::shared_ptr<Group>& shared_group() const { return group_; }
  Caller caller() const { return caller_; }
  std::shared_ptr<Container> container() const;

  // Does the group hold this device (vfio_file_has_dev)?
  bool has_device(const RegisteredDevice& device) const;

  // vfio_file_set_kvm: devices opened from now on know this virtual machine.
  void set_virtual_machine(std::weak_ptr<VirtualMachine> machine);
  std::shared_ptr<VirtualMachine> virtual_machine() const;

 private:
  friend class Group;
  friend class ContainerUser;
  Result<std::shared_ptr<RegisteredDevice>> find_device(std::string_view name) const;
  void detach_container() UMDEV_REQUIRES(group_->mutex_);

  const std::shared_ptr<Group> group_;
  const Caller caller_;
  std::shared_ptr<Container> container_ UMDEV_GUARDED_BY(group_->mutex_);
  std::uint32_t container_users_ UMDEV_GUARDED_BY(group_->mutex_) = 0;
  std::weak_ptr<VirtualMachine> virtual_machine_ UMDEV_GUARDED_BY(group_->mutex_);
};

// A use of a group's container: while it lives, the group cannot leave the container, and the group file is
// not released.
class ContainerUser {
 public:
  // EINVAL without a container, without an IOMMU driver; EPERM a no-iommu group and no CAP_SYS_RAWIO.
  static Result<ContainerUser> acquire(const std::shared_ptr<GroupFile>& file);

  ContainerUser(ContainerUser&& other) noexcept = default;
  ContainerUser& operator=(ContainerUser&& other) noexcept;
  ~ContainerUser() { release(); }

  const std::shared_ptr<GroupFile>& file() const { return file_; }
  const std::shared_ptr<Container>& container() const { return container_; }
  const std::shared_ptr<iommu::IommuInstance>& iommu() const { return iommu_; }
  void release();

 private:
  ContainerUser(std::shared_ptr<GroupFile> file, std::shared_ptr<Container> container,
                std::shared_ptr<iommu::IommuInstance> iommu)
      : file_(std::move(file)), container_(std::move(container)), iommu_(std::move(iommu)) {}

  std::shared_ptr<GroupFile> file_;
  std::shared_ptr<Container> container_;
  std::shared_ptr<iommu::IommuInstance> iommu_;
};

}  // namespace umdev::vfio
