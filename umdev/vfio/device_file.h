// An open VFIO device: what every door works on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"
#include "umdev/vfio/access.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/feature.h"
#include "umdev/vfio/group.h"
#include "umdev/vfio/migration_file.h"

namespace umdev::vfio {

class Arrival;
class DeviceClaim;
class DeviceUser;
class FileAccess;
class IoEvents;
class RegisteredDevice;

// Told what happens to an open device from outside. Called on any thread, with no lock held.
class DeviceFileEvents {
 public:
  virtual ~DeviceFileEvents() = default;
  // The device is being removed and its users are asked to let go; again every 10 seconds, with a rising
  // count.
  virtual void release_requested(unsigned /*count*/) {}
  // The device is being taken away by force: drop the file. After a while it is cut: every call answers
  // ENODEV. At most once.
  virtual void revoked() {}
};

// Whose buffer an access is about, and who waits for it: for whoever has one access after the other, and pays
// for nothing more than that. In a shared_ptr: it lives for as long as a driver may touch the buffer.
class AccessOwner : public std::enable_shared_from_this<AccessOwner> {
 public:
  virtual ~AccessOwner() = default;
  // The access has been answered, as a Done would be told: inline or later, from any thread. When it is
  // inline, it must not let go of the file or of this.
  virtual void access_completed(const Result<std::size_t>& result) = 0;
};

// One open of a device (VFIO_GROUP_GET_DEVICE_FD). Its shared_ptr is the file's reference count: a duplicated
// descriptor is a copy, the last one gone closes the device. Thread-safe: accesses run in parallel. Every
// call answers ENODEV after the device was taken away and EIO after it was faulted.
class DeviceFile : public std::enable_shared_from_this<DeviceFile> {
 public:
  // The core's: opens `device` for whoever has the claim. ENODEV it is being removed; EBUSY it is open in
  // another container, EINVAL for one that would be bound to an iommufd; EIO; the error of open_device.
  static void open(std::shared_ptr<RegisteredDevice> device, DeviceClaim claim,
                   Done<std::shared_ptr<DeviceFile>> done);
  ~DeviceFile();
  DeviceFile(const DeviceFile&) = delete;
  DeviceFile& operator=(const DeviceFile&) = delete;

  // Replaces whoever is told; null for nobody.
  void set_events(std::shared_ptr<DeviceFileEvents> events) UMDEV_EXCLUDES(mutex_);

  // VFIO_DEVICE_GET_INFO, GET_REGION_INFO, GET_IRQ_INFO. EINVAL for an index that the device does not have.
  Result<DeviceInfo> info() const;
  Result<RegionInfo> region_info(std::uint32_t index) const;
  Result<IrqInfo> irq_info(std::uint32_t index) const;

  // Accesses `region` at `offset`; completes with the number of bytes done, inline where the device answers
  // inline. EINVAL when the range does not lie inside the region or the region cannot be read (written);
  // ETIMEDOUT when the device did not answer in time (it is then faulted); EAGAIN with too many accesses
  // under way. An empty range succeeds with 0 and asks nobody. `owner` keeps the buffer alive for as long as
  // a driver may touch it, which may be after `done`: at a deadline the driver still has it.
  void read(std::uint32_t region, std::uint64_t offset, Bytes into, std::shared_ptr<void> owner,
            Done<std::size_t> done);
  void write(std::uint32_t region, std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
             Done<std::size_t> done);
  // The same, for an owner that is told itself. The caller keeps the file and the owner until the call
  // returns.
  void read(std::uint32_t region, std::uint64_t offset, Bytes into, AccessOwner& owner);
  void write(std::uint32_t region, std::uint64_t offset, ConstBytes from, AccessOwner& owner);

  // VFIO_DEVICE_RESET.
  void reset(Done<> done);
  // The same for whoever has the turn of the device set's queue, and keeps it until `done`.
  void reset_in_turn(Done<> done);
  // VFIO_DEVICE_SET_IRQS; validates, then asks the device.
  Result<> set_irqs(IrqRequest& request);
  // EINVAL for a region that cannot be mapped or a range outside it.
  Result<std::vector<MmapExtent>> mmap(const MmapRequest& request);
  // EINVAL for a region that the device does not have. What does not lie in the region is left out.
  Result<std::vector<IoEventFd>> io_event_fds(std::uint32_t region);
  // VFIO_DEVICE_FEATURE; see feature.h. Completes inline unless it changes the migration state.
  void feature(const FeatureRequest& request, Done<FeatureAnswer> done);
  // What feature() does for MIG_DEVICE_STATE. Changes come one after another, and after opens, closes and
  // resets of the device that were asked for before. ENOTTY for a device that does not migrate; EINVAL no way
  // to this state; what the driver says; ETIMEDOUT (the device is then faulted). After an error
  // migration_state() tells where the device is.
  void set_migration_state(MigrationState wanted, Done<std::shared_ptr<MigrationFile>> done);
  // ENOTTY for a device that does not migrate.
  Result<MigrationState> migration_state() const;
  // The data stream that is open at present, for doors without descriptors; null without one.
  std::shared_ptr<MigrationFile> migration_file() const;
  // Has its user DMA logging on?
  bool is_logging_dma() const;
  Result<std::uint32_t> ioctl(IoctlRequest request);

  // Null for a device that is bound to an iommufd.
  const std::shared_ptr<Container>& container() const;
  const RegisteredDevice& device() const { return *device_; }
  User& user() const;
  // Of a device that is bound to an iommufd, its way there.
  const std::shared_ptr<iommu::IommuInstance>& iommu() const;
  // VFIO_DEVICE_IOEVENTFD, once it is known that the writes would be allowed.
  IoEvents& io_events() const;

 private:
  friend class FileAccess;
  friend class RegisteredDevice;
  DeviceFile(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<DeviceUser> user);

  Result<> usable() const;
  Result<> check_range(std::uint32_t region, std::uint64_t offset, std::size_t size,
                       std::uint32_t needed) const;
  template <typename Request, typename Asker>
  void access(std::uint32_t region, std::uint64_t offset, Bytes data, Asker asker);
  // Registration's side: tells the events; then cuts the file off, which closes it.
  void announce_request(unsigned count);
  void revoke();
  void cut();
  void close_once();
  static void restore(std::shared_ptr<DeviceFile> file, std::shared_ptr<Arrival> arrival,
                      Done<std::shared_ptr<DeviceFile>> done);

  const std::shared_ptr<RegisteredDevice> device_;
  const std::shared_ptr<DeviceUser> user_;
  std::atomic<bool> cut_ = false;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> revoked_ = false;
  // Accesses that outlast the calls of the driver; an atomic operation less for each that does not.
  std::atomic<std::uint32_t> waiting_ = 0;
  // One access of its own, so that a session that has one at a time never allocates.
  const std::unique_ptr<FileAccess> spare_;
  std::atomic<bool> spare_taken_ = false;
  mutable Mutex mutex_;
  std::shared_ptr<DeviceFileEvents> events_ UMDEV_GUARDED_BY(mutex_);
  // Accesses that the driver did not complete inline.
  std::vector<FileAccess*> under_way_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
