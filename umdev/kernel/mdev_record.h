// What stands behind a module's struct mdev_device: an instance while a driver of a module has it.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "umdev/kernel/device_record.h"
#include "umdev/kernel/page_arena.h"
#include "umdev/mdev/instance.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

class VfioRecord;

// Shared by the binding of the instance to the driver and by the VFIO devices made on it: dev stays as long
// as the driver may look at it. All members from any thread unless said otherwise.
class MdevRecord : public std::enable_shared_from_this<MdevRecord> {
 public:
  // What the module's parent is told when the device ends; its answer does not count any more.
  using Remove = int (*)(::mdev_device*);

  // Known to the world by its UUID as long as it lives.
  static std::shared_ptr<MdevRecord> make(Module& module, const Uuid& uuid, ::mdev_type* type);
  ~MdevRecord();
  MdevRecord(const MdevRecord&) = delete;
  MdevRecord& operator=(const MdevRecord&) = delete;

  ::mdev_device& mdev() { return mdev_; }
  Module& module() const { return device_.module; }
  DeviceRecord& device() { return device_; }

  // Where the instance's pages come from.
  PageArena& pages() { return pages_; }

  // Before the driver sees it.
  void set_instance(const std::shared_ptr<mdev::Instance>& instance);
  std::shared_ptr<mdev::Instance> instance() const {
    return std::static_pointer_cast<mdev::Instance>(device_.node);
  }

  // The VFIO device that the driver has registered on it; null without.
  std::shared_ptr<VfioRecord> vfio() const UMDEV_EXCLUDES(mutex_);
  void set_vfio(std::weak_ptr<VfioRecord> vfio) UMDEV_EXCLUDES(mutex_);
  // Called when the last reference goes, on a thread that may wait. Null: nothing (any more).
  void set_remove(Remove what) { remove_ = what; }
  Remove remove() const { return remove_; }

  // How its users are to be treated by the removal that has begun.
  RemovePolicy removal() const UMDEV_EXCLUDES(mutex_);
  void set_removal(RemovePolicy policy) UMDEV_EXCLUDES(mutex_);

  // Of an instance that a module's driver has; null otherwise. Only drivers of modules ask.
  static std::shared_ptr<MdevRecord> of(const device::Device& device) {
    return std::static_pointer_cast<MdevRecord>(device.driver_data());
  }

 private:
  MdevRecord(Module& module, const Uuid& uuid, ::mdev_type* type);
  static void end(MdevRecord* record);

  const Uuid uuid_;
  std::atomic<Remove> remove_ = nullptr;
  PageArena pages_;
  DeviceRecord device_;
  ::mdev_device mdev_ = {};
  mutable Mutex mutex_;
  std::weak_ptr<VfioRecord> vfio_ UMDEV_GUARDED_BY(mutex_);
  RemovePolicy removal_ UMDEV_GUARDED_BY(mutex_) = RemovePolicy::wait;
};

}  // namespace umdev::kernel
