// What stands behind a module's struct vfio_device: its callbacks, its references, its registration.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/calls.h"
#include "umdev/kernel/page_arena.h"
#include "umdev/kernel/user_pages.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/vfio/core.h"

namespace umdev::vfio {
class IommufdUse;
}

namespace umdev::kernel {

class MdevRecord;
class Module;

// The callbacks with the `self` that they are called with, whichever of the three forms they have.
struct DataOps {
  ::umdev_data_ops ops;
  void* self;
};
struct ParentCallbacks {
  ::umdev_parent_callbacks ops;
  ::mdev_device* self;
};
struct DeviceOps {
  ::umdev_device_ops ops;
  ::vfio_device* self;
};
using Callbacks = std::variant<DeviceOps, DataOps, ParentCallbacks>;

// Shared by the module's structure, its registration, and every call into it. All members from any thread.
class VfioRecord : public std::enable_shared_from_this<VfioRecord> {
 public:
  // `object` is null for a device that its parent answers for.
  VfioRecord(Module& module, ::vfio_device* object, ::device* dev, Callbacks callbacks, unsigned rules);
  ~VfioRecord();
  VfioRecord(const VfioRecord&) = delete;
  VfioRecord& operator=(const VfioRecord&) = delete;

  Module& module() const { return module_; }
  ::vfio_device* object() const { return object_; }
  ::device* device() const { return dev_; }
  const Callbacks& callbacks() const { return callbacks_; }
  // Where pages come from in its calls.
  PageArena& pages() const;
  // dma-bufs that its calls have exported and nobody has put: let go when it is closed.
  void add_buffer(::dma_buf* buffer) UMDEV_EXCLUDES(mutex_);
  void remove_buffer(::dma_buf* buffer) UMDEV_EXCLUDES(mutex_);
  void release_buffers() UMDEV_EXCLUDES(mutex_);

  // Its callbacks of iommufd, where it has them: told before it is registered, the same from then on.
  void set_iommufd_ops(const ::umdev_iommufd_ops& ops) { iommufd_ops_ = ops; }
  const std::optional<::umdev_iommufd_ops>& iommufd_ops() const { return iommufd_ops_; }
  // The use of an iommufd that it is asked for at present: from before bind_iommufd to after unbind_iommufd.
  void set_iommufd_use(std::shared_ptr<vfio::IommufdUse> use) UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<vfio::IommufdUse> iommufd_use() const UMDEV_EXCLUDES(mutex_);

  // Null for one of another form.
  const DeviceOps* device_ops() const { return std::get_if<DeviceOps>(&callbacks_); }
  const std::string& name() const { return name_; }
  const char* driver_name() const;
  bool opens_each_file() const { return (rules_ & ::umdev_open_each_file) != 0; }

  bool needs_open() const { return (rules_ & ::umdev_needs_open) != 0; }
  // The parent has removed the device already: nothing of it may be called any more.
  void retire() { retired_ = true; }
  bool is_retired() const { return retired_.load(std::memory_order_relaxed); }

  // The user, from open to close; what is pinned goes with it.
  void set_user(vfio::User* user) UMDEV_EXCLUDES(mutex_);
  UserPages& user_pages() { return user_pages_; }
  bool pins_memory() const;
  void tell_unmap(std::uint64_t iova, std::uint64_t size) UMDEV_EXCLUDES(mutex_);
  using Unmap = void (*)(void*, umdev_u64, umdev_u64);
  // False when there is one.
  bool set_unmap(Unmap unmap, void* data) UMDEV_EXCLUDES(mutex_);

  // The virtual machine of its user; up to 5.18 whoever has asked for it is told when one comes or goes.
  using TellKvm = void (*)(void*, ::kvm*);
  // False when there is one.
  bool set_tell_kvm(TellKvm tell, void* data) UMDEV_EXCLUDES(mutex_);
  void tell_kvm(::kvm* machine) UMDEV_EXCLUDES(mutex_);
  // Before it is opened, and when it is closed (null).
  void find_kvm(const vfio::User* user) UMDEV_EXCLUDES(mutex_);

  // vfio_device_get_from_dev() and vfio_device_put(): a counted use, which the end of the registration waits
  // for.
  bool hold() UMDEV_EXCLUDES(mutex_);
  void let_go() UMDEV_EXCLUDES(mutex_);

  // A callback is inside the module; the end of the registration waits for it.
  void enter() { inside_.fetch_add(1); }
  void leave() UMDEV_EXCLUDES(mutex_);

  // EINVAL: no such device, or it is in no IOMMU group; EBUSY: it has a VFIO device.
  Result<> register_device(bool emulated) UMDEV_EXCLUDES(mutex_);
  // Completes when nobody uses it and no callback is inside; at once when it is not registered (any more).
  void unregister(RemovePolicy policy, Done<> done) UMDEV_EXCLUDES(mutex_);
  void wait_until_left() UMDEV_EXCLUDES(mutex_);
  // How its users are to be treated now: as the removal of its instance or of its module says.
  RemovePolicy removal() const;
  void set_device_set(const void* id) UMDEV_EXCLUDES(mutex_);

  // Of the structure, and what is behind it.
  static std::shared_ptr<VfioRecord> of(const ::vfio_device* object);

 private:
  Module& module_;
  ::vfio_device* const object_;
  ::device* const dev_;
  const std::shared_ptr<device::Device> node_;
  const std::shared_ptr<MdevRecord> mdev_;  // null for one that is on no mdev
  const Callbacks callbacks_;
  const unsigned rules_;
  ::vfio_device own_object_ = {};  // of one that the module has no structure for
  UserPages user_pages_;
  std::atomic<bool> retired_ = false;
  const std::string name_;
  std::atomic<int> inside_ = 0;
  std::optional<::umdev_iommufd_ops> iommufd_ops_;
  std::atomic<bool> is_waited_for_ = false;  // by whoever waits for inside_ to be 0

  PageArena own_pages_;  // of a device that is on no mdev

  mutable Mutex mutex_;
  std::vector<::dma_buf*> buffers_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<vfio::IommufdUse> iommufd_use_ UMDEV_GUARDED_BY(mutex_);
  Condition left_;
  const void* device_set_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  std::vector<vfio::DeviceRef> held_ UMDEV_GUARDED_BY(mutex_);
  Unmap unmap_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  void* unmap_data_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  TellKvm tell_kvm_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  void* tell_kvm_data_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  std::shared_ptr<vfio::RegisteredDevice> registered_ UMDEV_GUARDED_BY(mutex_);
  Registration registration_ UMDEV_GUARDED_BY(mutex_);
};

// The services.
::vfio_device* vfio_alloc_device(std::size_t size, ::device* dev, const ::umdev_device_ops* ops);
void vfio_put_device(::vfio_device* object);
int vfio_init_device(::vfio_device* object, ::device* dev, const ::umdev_device_ops* ops, unsigned rules);
int vfio_init_data(::vfio_device* object, ::device* dev, const ::umdev_data_ops* ops, void* data,
                   unsigned rules);
void vfio_uninit_device(::vfio_device* object);
void vfio_assign_device_set(::vfio_device* object, const void* id);
int vfio_register_device(::vfio_device* object, bool emulated);
void vfio_unregister_device(::vfio_device* object);

}  // namespace umdev::kernel
