// IOMMU drivers that modules register (struct vfio_iommu_driver_ops): from vfio_register_iommu_driver() to
// the end.
//
// A container that chose such a driver keeps it, and the module stays for as long; when the module is made
// to go (by force), what its drivers have pinned is taken from the pins' holders, and whoever asks is
// answered ENODEV.
#pragma once

#include <memory>
#include <vector>

#include "include/umdev/kernel/umdev/iommu_back_end.h"
#include "umdev/iommu/iommu_driver.h"
#include "umdev/kernel/calls.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"

namespace umdev::kernel {

class IommuBackEnd;
class Module;

// One registration; any thread. Callbacks of containers come with locks of the core's held, so those are made
// on other threads, and only waited for here.
class IommuRegistration final : public iommu::IommuDriver,
                                public std::enable_shared_from_this<IommuRegistration> {
 public:
  // `key` is the driver's own table, which the callbacks of `ops` are given.
  IommuRegistration(Module& module, const void* key, const ::umdev_iommu_ops& ops);
  ~IommuRegistration() override = default;

  // ^iommu::IommuDriver
  std::string_view name() const override { return name_; }
  int check_extension(std::uint32_t extension) const override;
  Result<std::shared_ptr<iommu::IommuInstance>> open(std::uint32_t type) override;

  const ::umdev_iommu_ops& ops() const { return ops_; }
  const void* key() const { return key_; }
  // Only inside of a call, which keeps it.
  Module& module() const { return module_; }

  // A call into the module begins and ends. False: the driver has been taken away.
  bool enter() UMDEV_EXCLUDES(mutex_);
  void leave() UMDEV_EXCLUDES(mutex_);

  // vfio_register_iommu_driver().
  Result<> begin();
  // vfio_unregister_iommu_driver(): no container chooses it any more. At the module's end those that have it
  // lose it.
  void end(bool module_ends) UMDEV_EXCLUDES(mutex_);
  // One container's back end has been released.
  void forget(const IommuBackEnd& back_end) UMDEV_EXCLUDES(mutex_);

 private:
  std::vector<std::shared_ptr<IommuBackEnd>> back_ends() UMDEV_EXCLUDES(mutex_);
  void close() UMDEV_EXCLUDES(mutex_);

  Module& module_;
  const void* const key_;
  const ::umdev_iommu_ops ops_;
  const std::string name_;
  mutable Mutex mutex_;
  Condition left_;
  bool closed_ UMDEV_GUARDED_BY(mutex_) = false;
  bool ended_ UMDEV_GUARDED_BY(mutex_) = false;
  int inside_ UMDEV_GUARDED_BY(mutex_) = 0;
  Registration registration_ UMDEV_GUARDED_BY(mutex_);
  std::vector<std::pair<const IommuBackEnd*, std::weak_ptr<IommuBackEnd>>> back_ends_
      UMDEV_GUARDED_BY(mutex_);
};

// The services.
int vfio_register_iommu_driver(::module* owner, const void* ops, const ::umdev_iommu_ops* callbacks);
void vfio_unregister_iommu_driver(::module* owner, const void* ops);
void iommu_user_unmap(::umdev_iommu_user* user, umdev_u64 iova, umdev_u64 size);

}  // namespace umdev::kernel
