// IOMMU groups: the devices that cannot be told apart on the bus, and who owns their DMA.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "umdev/device/bind_observer.h"
#include "umdev/device/device.h"
#include "umdev/support/error.h"
#include "umdev/support/id_allocator.h"
#include "umdev/support/log.h"
#include "umdev/support/mutex.h"
#include "umdev/tree/tree.h"

namespace umdev::vfio {

// What happens to the devices of a group, in the kernel's order (IOMMU_GROUP_NOTIFY_*).
enum class IommuGroupEvent : std::uint8_t {
  add_device,
  bind_driver,
  bound_driver,
  unbind_driver,
  unbound_driver,
  del_device,
};

class IommuGroupObserver {
 public:
  virtual ~IommuGroupObserver() = default;
  // Called with no lock held, on the thread that changes the device. May drop the last reference to anything.
  virtual void iommu_group_changed(IommuGroupEvent event, device::Device& device) = 0;
};

// A set of devices that share an IOMMU context, with an exclusive claim on it (iommu_group_claim_dma_owner):
// while the claim is held, no driver that uses DMA of its own can be bound to a member, so isolation never
// breaks and nothing needs to abort. Thread-safe. Its number is given back when the last reference goes.
class IommuGroup final : public device::BindObserver, public std::enable_shared_from_this<IommuGroup> {
 public:
  enum class Kind : std::uint8_t {
    physical,  // members do real DMA; may have several
    emulated,  // made for one device alone
    no_iommu,  // no isolation at all: needs CAP_SYS_RAWIO to use
  };
  // The numbers of all groups, lowest free first.
  struct Numbers {
    Mutex mutex;
    IdAllocator ids UMDEV_GUARDED_BY(mutex){UINT32_MAX};
  };

  // Takes a number and publishes kernel/iommu_groups/N. `log` must outlive it.
  static Result<std::shared_ptr<IommuGroup>> create(std::shared_ptr<Numbers> numbers, std::string name,
                                                    Kind kind, const tree::Directory& iommu_groups, Log& log);
  ~IommuGroup() override;

  std::uint32_t number() const { return number_; }
  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }

  // Hot-adds a device. To an idle group it is silent; to a live one (claimed) it is warned of and counted,
  // and viability is from then on judged with it. EEXIST when it is a member already (warned of once).
  Result<> add_device(const std::shared_ptr<device::Device>& device) UMDEV_EXCLUDES(mutex_);
  void remove_device(device::Device& device) UMDEV_EXCLUDES(mutex_);
  // Takes no lock: every pin asks.
  std::size_t device_count() const { return device_count_.load(std::memory_order_relaxed); }
  std::uint32_t hot_adds_to_live_group() const UMDEV_EXCLUDES(mutex_);

  // True when a claim could be made, or is held: every member is without a driver, or has one that manages
  // its own DMA (a VFIO driver, pci-stub).
  bool viable() const UMDEV_EXCLUDES(mutex_);
  // EBUSY when a member is bound to a driver that uses DMA of its own, or somebody else owns the group.
  Result<> claim_dma_owner(const void* owner) UMDEV_EXCLUDES(mutex_);
  void release_dma_owner(const void* owner) UMDEV_EXCLUDES(mutex_);
  bool claimed() const UMDEV_EXCLUDES(mutex_);
  bool is_owned_by(const void* owner) const UMDEV_EXCLUDES(mutex_);
  // Several containers may have it at a time: its one device allows several users.
  void share() { is_shared_.store(true, std::memory_order_relaxed); }
  bool is_shared() const { return is_shared_.load(std::memory_order_relaxed); }

  // The observer must outlive its subscription.
  void subscribe(IommuGroupObserver& observer) UMDEV_EXCLUDES(mutex_);
  void unsubscribe(IommuGroupObserver& observer) UMDEV_EXCLUDES(mutex_);

  // ^device::BindObserver
  Result<> driver_binding(device::Device& device, device::Driver& driver) override;
  void driver_bound(device::Device& device, device::Driver& driver) override;
  void driver_bind_failed(device::Device& device, device::Driver& driver) override;
  void driver_unbinding(device::Device& device, device::Driver& driver) override;
  void driver_unbound(device::Device& device, device::Driver& driver) override;
  void device_removed(device::Device& device) override { remove_device(device); }

 private:
  struct Member {
    std::shared_ptr<device::Device> device;
    bool uses_dma = false;   // bound (or being bound) to a driver that does not manage DMA itself
    tree::NodeHandle links;  // devices/<name>, and iommu_group in the device's directory
  };
  IommuGroup(std::shared_ptr<Numbers> numbers, std::uint32_t number, std::string name, Kind kind, Log& log);
  Result<> publish(const tree::Directory& iommu_groups);
  void set_uses_dma(const device::Device& device, bool uses_dma) UMDEV_EXCLUDES(mutex_);
  void notify(IommuGroupEvent event, device::Device& device) UMDEV_EXCLUDES(mutex_);
  Member* find(const device::Device& device) UMDEV_REQUIRES(mutex_);

  const std::shared_ptr<Numbers> numbers_;
  const std::uint32_t number_;
  const std::string name_;
  const Kind kind_;
  Log& log_;
  tree::NodeHandle nodes_;  // written once, before the group is shared
  tree::Directory devices_directory_;
  mutable Mutex mutex_;
  std::vector<Member> members_ UMDEV_GUARDED_BY(mutex_);
  std::atomic<std::size_t> device_count_ = 0;  // of members_
  std::atomic<bool> is_shared_ = false;
  std::vector<IommuGroupObserver*> observers_ UMDEV_GUARDED_BY(mutex_);
  const void* owner_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  std::uint32_t claims_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::uint32_t hot_adds_to_live_group_ UMDEV_GUARDED_BY(mutex_) = 0;
  bool warned_of_known_device_ UMDEV_GUARDED_BY(mutex_) = false;
};

}  // namespace umdev::vfio
