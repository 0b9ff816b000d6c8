// A device's way to the IOAS that it is attached to at present, if it is attached (the kernel's
// iommufd_access).
#pragma once

#include <memory>
#include <vector>

#include "umdev/iommu/ioas.h"
#include "umdev/iommu/iommu_driver.h"

namespace umdev::iommu {

// Pins and accesses of a device that is attached nowhere are ENOENT, as are those of what is not mapped; of
// one that is not even bound, EINVAL. The commands of a container are ENOTTY. Threads: attach(), detach(),
// register_user() and unregister_user() one after another (the device set's queue sees to that); the rest
// from any.
class IoasAccess : public IommuInstance {
 public:
  // `physical`: the device has DMA of its own (GroupAttachment::emulated is false).
  explicit IoasAccess(bool physical) : physical_(physical) {}
  ~IoasAccess() override;
  IoasAccess(const IoasAccess&) = delete;
  IoasAccess& operator=(const IoasAccess&) = delete;

  // Leaves the one it was attached to, if it can be attached to this. Ioas::attach's errors.
  Result<> attach(std::shared_ptr<Ioas> ioas) UMDEV_EXCLUDES(mutex_);
  // Its users are told to drop their pins first; what they keep is revoked.
  void detach() UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<Ioas> ioas() const UMDEV_EXCLUDES(mutex_);
  bool is_physical() const { return physical_; }
  // It has a number in an iommufd: the iommufd says so.
  void set_bound(bool bound) UMDEV_EXCLUDES(mutex_);

  // ^IommuInstance
  int check_extension(std::uint32_t) const override { return 0; }
  Result<> attach_group(const GroupAttachment&) override { return {}; }
  void detach_group(const GroupAttachment&) override {}
  Result<IommuInfo> info() const override;
  Result<> map(MapRequest request) override;
  void unmap(const UnmapRequest& request, Done<std::uint64_t> done) override;
  Result<DmaPin> pin(DmaUser& user, IovaRange range, Access access) override;
  void dma_read(DmaUser& user, Iova iova, Bytes into, Done<> done) override;
  void dma_write(DmaUser& user, Iova iova, ConstBytes from, Done<> done) override;
  bool copies_at_once(IovaRange range) const override;
  void register_user(DmaUser& user) override UMDEV_EXCLUDES(mutex_);
  void unregister_user(DmaUser& user) override UMDEV_EXCLUDES(mutex_);
  std::uint32_t mapping_count() const override;
  std::uint32_t pin_count() const override;

 private:
  void leave(Ioas& ioas) UMDEV_EXCLUDES(mutex_);
  std::unexpected<Error> not_attached() const UMDEV_EXCLUDES(mutex_);
  std::vector<DmaUser*> users() const UMDEV_EXCLUDES(mutex_);

  const bool physical_;
  mutable Mutex mutex_;
  bool bound_ UMDEV_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Ioas> ioas_ UMDEV_GUARDED_BY(mutex_);
  std::vector<DmaUser*> users_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::iommu
