// One container's back end where that is a module's (the kernel's iommu_data): its memory, its groups, the
// devices that are open in the container, and what they have pinned.
//
// The module's callbacks are called as devices' are (calls.h): commands, pins and copies begin on the thread
// that brings them. What the core asks while a container changes comes with locks held, so that is asked on
// other threads. All members from any thread.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "umdev/iommu/container_commands.h"
#include "umdev/iommu/iommu_driver.h"
#include "umdev/kernel/iommu_group.h"
#include "umdev/kernel/iommu_registration.h"
#include "umdev/kernel/page_arena.h"

namespace umdev::kernel {

class IommuBackEnd final : public iommu::IommuInstance,
                           public iommu::ContainerCommands,
                           public std::enable_shared_from_this<IommuBackEnd> {
 public:
  // As many pages as one pin has (VFIO_PIN_PAGES_MAX_ENTRIES).
  static constexpr std::uint64_t pages_max = 512;

  explicit IommuBackEnd(std::shared_ptr<IommuRegistration> registration);
  // release(): no call of it is under way, and nothing pinned.
  ~IommuBackEnd() override;

  // The errno of open().
  Result<> open(std::uint32_t type);

  // ^iommu::IommuInstance. The calls for single commands become the ioctls that they are in the kernel.
  int check_extension(std::uint32_t extension) const override;
  Result<> attach_group(const iommu::GroupAttachment& group) override UMDEV_EXCLUDES(mutex_);
  void detach_group(const iommu::GroupAttachment& group) override UMDEV_EXCLUDES(mutex_);
  Result<iommu::IommuInfo> info() const override;
  Result<> map(iommu::MapRequest request) override;
  void unmap(const iommu::UnmapRequest& request, Done<std::uint64_t> done) override;
  Result<> tracks_dirty_pages() const override { return {}; }
  Result<> start_dirty_pages() override;
  Result<> stop_dirty_pages() override;
  Result<> dirty_pages(iommu::IovaRange range, std::uint64_t bitmap_page_size, Bytes bitmap) override;
  Result<iommu::DmaPin> pin(iommu::DmaUser& user, iommu::IovaRange range, iommu::Access access) override
      UMDEV_EXCLUDES(mutex_);
  void dma_read(iommu::DmaUser& user, iommu::Iova iova, Bytes into, Done<> done) override;
  void dma_write(iommu::DmaUser& user, iommu::Iova iova, ConstBytes from, Done<> done) override;
  void register_user(iommu::DmaUser& user) override UMDEV_EXCLUDES(mutex_);
  void unregister_user(iommu::DmaUser& user) override UMDEV_EXCLUDES(mutex_);
  std::uint32_t pin_count() const override UMDEV_EXCLUDES(mutex_);

  // ^iommu::ContainerCommands
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<iommu::CallerMemory> memory,
             Done<std::int32_t> done) override;
  void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) override;
  void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
             Done<std::size_t> done) override;
  Result<std::vector<iommu::ContainerExtent>> mmap(std::uint64_t offset, std::uint64_t length,
                                                   bool writable) override UMDEV_EXCLUDES(mutex_);
  void container_closed() override;

  // ENOTTY: the driver tells nobody of what goes; else what it answered when the user was registered.
  Result<> tells_unmaps(const iommu::DmaUser& user) const UMDEV_EXCLUDES(mutex_);
  // ENOTTY: the driver has no such callback.
  Result<::iommu_domain*> domain_of(std::uint32_t group) const UMDEV_EXCLUDES(mutex_);

  // The module says that memory goes: its user is told, and waited for as long as an unmap may wait; what it
  // holds of it then is taken away.
  static void tell_unmap(::umdev_iommu_user* user, iommu::IovaRange range);

  // The module ends: nothing stays pinned. Then, when no call is inside any more, its last word.
  void take_pins() UMDEV_EXCLUDES(mutex_);
  void release_now();

 private:
  struct User;
  struct Pin;
  class PinHolder;
  // What stays until release() has returned.
  struct Held;

  const ::umdev_iommu_ops& ops() const { return registration_->ops(); }
  std::shared_ptr<IommuBackEnd> self() const {
    return std::const_pointer_cast<IommuBackEnd>(shared_from_this());
  }
  // `argument` as user memory of an ioctl; the result's place in it is the caller's to know.
  Result<> command(std::uint32_t number, const std::shared_ptr<std::vector<std::byte>>& argument,
                   Bytes bitmap = {}) const;
  void copy(iommu::Iova iova, Bytes bytes, bool write, Done<> done);

  std::shared_ptr<User> find_user(const iommu::DmaUser& user) const UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<::iommu_group> find_group(std::uint32_t number) const UMDEV_EXCLUDES(mutex_);
  Result<> pin_pages(Pin& pin, int prot, ::iommu_group* group) const;
  static std::vector<iommu::DmaSegment> segments_of(const Pin& pin, iommu::IovaRange range);
  iommu::DmaFile file_of(const Pin& pin, const iommu::DmaSegment& segment) const;
  void unpin(const std::shared_ptr<Pin>& pin) UMDEV_EXCLUDES(mutex_);
  void give_back(const std::shared_ptr<Pin>& pin) UMDEV_EXCLUDES(mutex_);
  // Whether there was any.
  bool revoke(const User& user, iommu::IovaRange range) UMDEV_EXCLUDES(mutex_);
  bool has_pins(const User& user, iommu::IovaRange range) const UMDEV_REQUIRES(mutex_);
  template <typename Tell>
  void tell(User& user, Tell tell) UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<IommuRegistration> registration_;
  std::shared_ptr<Held> held_;
  mutable Mutex mutex_;
  Condition changed_;  // users that are not being told any more, pins that have gone
  std::map<std::uint32_t, std::shared_ptr<::iommu_group>> groups_ UMDEV_GUARDED_BY(mutex_);
  std::map<const iommu::DmaUser*, std::shared_ptr<User>> users_ UMDEV_GUARDED_BY(mutex_);
  std::map<const Pin*, std::shared_ptr<Pin>> pins_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::kernel
