// One mediated device.
#pragma once

#include <memory>

#include "umdev/device/device.h"
#include "umdev/mdev/resource_ledger.h"
#include "umdev/mdev/types.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::mdev {

class Parent;
class Type;

// A device on the mdev bus, named by its UUID, below its parent. Shared by the registry, the tree, and
// whatever bus driver it is bound to; VFIO keeps it too while a file is open. All members from any thread.
class Instance final : public device::Device {
 public:
  Instance(std::shared_ptr<Parent> parent, const Type& type, const CreateRequest& request,
           std::shared_ptr<device::Bus> bus);

  // The instance that a show or store of instance_groups() is about.
  static Instance& from(device::Device& device) { return static_cast<Instance&>(device); }

  const Uuid& uuid() const { return uuid_; }
  Parent& mdev_parent() const { return *mdev_parent_; }
  const Type& type() const { return type_; }
  const Owner& owner() const { return owner_; }
  const Attributes& attributes() const { return attributes_; }

  // The vendor's device, for the bus driver that is being probed: the one that creation made, or, when an
  // earlier binding had used that up, a new one from the vendor (and then with its errors). May be null: the
  // vendor's mistake.
  void take_device(Done<std::unique_ptr<vfio::Device>> done) UMDEV_EXCLUDES(mutex_);

  // The VFIO device that a bus driver made of it; null while none is bound.
  std::shared_ptr<vfio::RegisteredDevice> vfio_device() const UMDEV_EXCLUDES(mutex_);
  void set_vfio_device(std::shared_ptr<vfio::RegisteredDevice> device) UMDEV_EXCLUDES(mutex_);

 private:
  friend class Bus;
  friend class Creation;
  void set_device(std::unique_ptr<vfio::Device> device) UMDEV_EXCLUDES(mutex_);
  // Gives back what it drew: when its removal has ended, the last user gone.
  void release();

  // Its one removal. It begins: device::Device::remove, hurried at once when somebody has joined already.
  void run_removal(RemovePolicy policy, Done<> done) UMDEV_EXCLUDES(mutex_);
  // Joins it: it stops waiting for the users, and `done` is called with its end, which may be a refusal.
  // False (and `done` untouched) when it has ended already.
  bool force_removal(Done<>& done) UMDEV_EXCLUDES(mutex_);
  // It has ended, or was refused: whoever joined is told.
  void end_removal(const Result<>& result) UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<Parent> mdev_parent_;
  const Type& type_;
  const Uuid uuid_;
  const Owner owner_;
  const Attributes attributes_;
  ResourceLedger::Lease lease_;
  ResourceLedger::Lease instance_slot_;
  mutable Mutex mutex_;
  std::unique_ptr<vfio::Device> device_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<vfio::RegisteredDevice> vfio_device_ UMDEV_GUARDED_BY(mutex_);
  bool waits_for_users_ UMDEV_GUARDED_BY(mutex_) = false;  // its removal does, and was not hurried yet
  bool removed_ UMDEV_GUARDED_BY(mutex_) = false;
  std::vector<Done<>> removal_joiners_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::mdev
