// The VFIO core: what is registered, and the ways in.
//
// Lock order (outer first): Core > Group > Container > IommuGroup > an IOMMU instance's own locks > Tree.
// RegisteredDevice, DeviceFile, DeviceSet and IrqSet have locks of their own that are leaves. None is held
// while a driver, a DmaUser, a DeviceFileEvents or a Done is called. Lifetimes: the core outlives every
// registration, file and container made through it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "umdev/device/device.h"
#include "umdev/support/host.h"
#include "umdev/support/id_allocator.h"
#include "umdev/support/limits.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/vfio/container.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/device_set.h"
#include "umdev/vfio/group.h"
#include "umdev/vfio/iommu_group.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::device {
class Model;
}

namespace umdev::vfio {

class Publisher;

struct CoreConfig {
  DeviceHost* host = nullptr;      // clock, executor and log; outlives the core
  device::Model* model = nullptr;  // the tree of devices into which the core publishes; outlives the core
  FdWatcher* watcher = nullptr;    // for unmask eventfds; may be null
  Limits limits;
  bool enable_unsafe_noiommu_mode = false;  // the kernel's module parameter of this name
};

// What a device is registered with.
struct DeviceSpec {
  // The device that it is the VFIO side of (an mdev, a PCI function). Its name is the name that GET_DEVICE_FD
  // takes.
  std::shared_ptr<device::Device> parent;
  // Devices with the same id share a device set; null: a set of its own.
  const void* device_set = nullptr;
};

// A device that is registered, and the handle that ends it. Registration::unregister hides the device from
// new opens, asks its users to let go, and completes when the last has gone.
struct DeviceRegistration {
  std::shared_ptr<RegisteredDevice> device;
  Registration registration;
};

struct CoreStatus {
  std::uint32_t devices = 0;
  std::uint32_t groups = 0;
  std::uint32_t open_files = 0;
  std::uint32_t abandoned_devices = 0;
};

class Core {
 public:
  // EEXIST: the model has a core already.
  static Result<std::unique_ptr<Core>> create(CoreConfig config);
  // Every device must have been unregistered: an assertion says so.
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- IOMMU drivers. EINVAL: see IommuDriverList::add.
  Result<Registration> register_iommu_driver(std::shared_ptr<iommu::IommuDriver> driver);

  // --- IOMMU groups. The number is the lowest that is free, and free again when the last reference has gone.
  Result<std::shared_ptr<IommuGroup>> create_iommu_group(std::string name, IommuGroup::Kind kind)
      UMDEV_EXCLUDES(mutex_);
  // Puts a device into a group, publishes the links, and watches its driver. EEXIST, EBUSY when it is in
  // another group.
  Result<> add_to_iommu_group(const std::shared_ptr<IommuGroup>& group,
                              const std::shared_ptr<device::Device>& device) UMDEV_EXCLUDES(mutex_);
  void remove_from_iommu_group(const std::shared_ptr<device::Device>& device) UMDEV_EXCLUDES(mutex_);
  // The group of a device, or null. With `allow_no_iommu` and no-iommu mode enabled, a device without a group
  // gets one named "vfio-noiommu", which is warned of.
  std::shared_ptr<IommuGroup> iommu_group_of(const std::shared_ptr<device::Device>& device,
                                             bool allow_no_iommu = false) UMDEV_EXCLUDES(mutex_);

  // --- Devices. The device is complete and may be opened before this returns. EINVAL: the parent is in no
  // IOMMU group; EBUSY: it has a VFIO device already; ENOSPC: no minor is left.
  Result<DeviceRegistration> register_device(std::unique_ptr<Device> device, const DeviceSpec& spec)
      UMDEV_EXCLUDES(mutex_);
  // The same for a device without DMA of its own: its parent is put into a fresh IOMMU group for it alone.
  Result<DeviceRegistration> register_emulated_device(std::unique_ptr<Device> device, const DeviceSpec& spec)
      UMDEV_EXCLUDES(mutex_);

  // Finds the VFIO device of a device the long way: device, IOMMU group, VFIO group, its list. Never through
  // data hung on the device, since its unregistration may be racing. Empty when there is none or it is on its
  // way out.
  DeviceRef find(const device::Device& device) const UMDEV_EXCLUDES(mutex_);

  // The device of a node: N of vfioN. Empty as above.
  DeviceRef find_index(std::uint32_t index) const UMDEV_EXCLUDES(mutex_);

  // All devices that are registered and not on their way out, in no order.
  std::vector<DeviceRef> devices() const UMDEV_EXCLUDES(mutex_);

  // --- Files.
  std::shared_ptr<Container> open_container(Caller caller = {});
  // By the minor of its node, or by the IOMMU group's number (its name under /dev/vfio). ENODEV unknown;
  // Group::open's errors.
  Result<std::shared_ptr<GroupFile>> open_group_minor(std::uint32_t minor, Caller caller = {})
      UMDEV_EXCLUDES(mutex_);
  Result<std::shared_ptr<GroupFile>> open_group(std::uint32_t iommu_group, Caller caller = {})
      UMDEV_EXCLUDES(mutex_);

  CoreStatus status() const UMDEV_EXCLUDES(mutex_);
  const Limits& limits() const { return config_.limits; }
  DeviceHost& host() const { return *config_.host; }

 private:
  struct GroupRecord {
    std::shared_ptr<Group> group;
    std::shared_ptr<device::Device> node;
    std::uint32_t devices = 0;  // registered, the ones that wait for their users included
  };
  class DeviceEntry;

  Core(CoreConfig config, std::unique_ptr<Publisher> publisher);
  Result<DeviceRegistration> add_device(std::unique_ptr<Device> device, const DeviceSpec& spec,
                                        const std::shared_ptr<IommuGroup>& iommu_group, bool emulated)
      UMDEV_EXCLUDES(mutex_);
  Result<GroupRecord*> find_or_create_group(const std::shared_ptr<IommuGroup>& iommu_group)
      UMDEV_REQUIRES(mutex_);
  Result<> publish(const std::shared_ptr<RegisteredDevice>& device) UMDEV_EXCLUDES(mutex_);
  void forget_device(const std::shared_ptr<RegisteredDevice>& device) UMDEV_EXCLUDES(mutex_);
  void hide_device(const std::shared_ptr<RegisteredDevice>& device);
  void finish_device(const std::shared_ptr<RegisteredDevice>& device, bool emulated) UMDEV_EXCLUDES(mutex_);

  const CoreConfig config_;
  const std::unique_ptr<Publisher> publisher_;
  const std::shared_ptr<IommuDriverList> iommu_drivers_ = std::make_shared<IommuDriverList>();
  const std::shared_ptr<std::atomic<std::uint64_t>> next_user_id_ =
      std::make_shared<std::atomic<std::uint64_t>>(1);
  DeviceSets device_sets_;
  std::atomic<std::uint32_t> abandoned_devices_ = 0;

  const std::shared_ptr<IommuGroup::Numbers> group_numbers_ = std::make_shared<IommuGroup::Numbers>();

  mutable Mutex mutex_;
  IdAllocator minors_ UMDEV_GUARDED_BY(mutex_);
  IdAllocator indexes_ UMDEV_GUARDED_BY(mutex_);
  std::unordered_map<std::uint32_t, GroupRecord> groups_ UMDEV_GUARDED_BY(mutex_);  // by IOMMU group number
  std::unordered_set<std::shared_ptr<RegisteredDevice>> devices_ UMDEV_GUARDED_BY(mutex_);
  std::unordered_map<const RegisteredDevice*, std::shared_ptr<device::Device>> nodes_
      UMDEV_GUARDED_BY(mutex_);
  std::unordered_map<const device::Device*, std::weak_ptr<IommuGroup>> members_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
