// A device that is registered with the core: its counts, its open state, its end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/support/deadline.h"
#include "umdev/support/done.h"
#include "umdev/support/host.h"
#include "umdev/support/limits.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/vfio/arrival.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/device_set.h"

namespace umdev::device {
class Device;
}

namespace umdev::vfio {

class Core;
class DeviceFile;
class DeviceUser;
class Group;

// Where a region lies and what may be done there, as the device said when it was opened.
struct RegionBounds {
  std::uint32_t flags = 0;
  std::uint64_t size = 0;
};

// Thread-safe. References (files, DeviceRefs) keep it registered: whoever unregisters it waits for the last.
class RegisteredDevice : public std::enable_shared_from_this<RegisteredDevice> {
 public:
  struct Config {
    DeviceHost* host = nullptr;
    const Limits* limits = nullptr;
    FdWatcher* watcher = nullptr;
    std::string name;
    std::shared_ptr<device::Device> parent;
    std::shared_ptr<Group> group;
    std::shared_ptr<DeviceSet> device_set;
    std::uint32_t index = 0;
    std::shared_ptr<std::atomic<std::uint64_t>> next_user_id;
  };
  RegisteredDevice(std::unique_ptr<Device> device, Config config);
  ~RegisteredDevice();

  const std::string& name() const { return config_.name; }
  // N of vfioN.
  std::uint32_t index() const { return config_.index; }
  const std::shared_ptr<device::Device>& parent() const { return config_.parent; }
  const std::shared_ptr<Group>& group() const { return config_.group; }
  DeviceSet& device_set() const { return *config_.device_set; }
  DeviceHost& host() const { return *config_.host; }
  const Limits& limits() const { return *config_.limits; }
  FdWatcher* watcher() const { return config_.watcher; }

  // A stay inside the driver. While one lives the driver's object is not destroyed, even when its users have
  // been cut off. Enter first, then ask whether you may call (DeviceFile::usable): that order is what makes
  // the end safe.
  class Stay {
   public:
    explicit Stay(const RegisteredDevice& device) : device_(&device) { device.stays_.fetch_add(1); }
    Stay(Stay&& other) noexcept : device_(std::exchange(other.device_, nullptr)) {}
    Stay& operator=(Stay&&) = delete;
    ~Stay() {
      if (device_ != nullptr) device_->stays_.fetch_sub(1);
    }

   private:
    const RegisteredDevice* device_;
  };
  Stay enter() const { return Stay(*this); }
  // The driver's side. Precondition: a Stay, and a reference (an open file or a DeviceRef).
  Device& device() const { return *device_; }
  // One for the device, whoever uses it: a client that comes back has no second try at making a thread wait.
  os::EventFdTrust& eventfd_trust() { return eventfd_trust_; }
  std::uint64_t next_user_id() const { return config_.next_user_id->fetch_add(1, std::memory_order_relaxed); }

  // Another name that opening it may use, as the address of the PCI function that it is shown as; none when
  // empty.
  void set_second_name(std::string name) UMDEV_EXCLUDES(mutex_);
  std::string second_name() const UMDEV_EXCLUDES(mutex_);
  // Device::match with the registered name; 1 for the second name.
  int match(std::string_view name) const;
  // Device::match_token; ENODEV when it is being unregistered.
  Result<> match_token(const std::optional<Uuid>& token) const;

  // A counted reference; null when the device is being unregistered. Whoever has one calls put() once.
  bool try_get() UMDEV_EXCLUDES(mutex_);
  void put() UMDEV_EXCLUDES(mutex_);

  // Files open at this moment, and files and references together.
  std::uint32_t open_count() const { return open_count_.load(std::memory_order_relaxed); }
  std::uint32_t reference_count() const UMDEV_EXCLUDES(mutex_);

  // A faulted device answers EIO to everything from now on; said once in the log.
  void fault(std::string_view why);
  bool faulted() const { return faulted_.load(std::memory_order_acquire); }
  // For a call into the driver: `done`, which comes at the latest after Limits::access_deadline, with
  // ETIMEDOUT, the device being faulted for the reason `too_long` then (of static lifetime).
  template <typename T = void>
  Done<T> in_time(Done<T> done, std::string_view too_long) {
    return with_deadline<T>(host().clock(), limits().access_deadline, std::move(done),
                            [self = shared_from_this(), too_long] { self->fault(too_long); });
  }

  // Opens and closes, called from the device set's queue only.
  void open_user(std::shared_ptr<DeviceUser> user, Done<std::shared_ptr<DeviceUser>> done);
  void close_user(DeviceUser& user, Done<> done);
  void add_file(const std::shared_ptr<DeviceFile>& file) UMDEV_EXCLUDES(mutex_);
  const std::vector<RegionBounds>& region_bounds() const { return region_bounds_; }
  // A file that is open, or null.
  std::shared_ptr<DeviceFile> open_file() UMDEV_EXCLUDES(mutex_);

  // What the next file restores before it is handed out; whoever takes it has to see to that. Null: power-on,
  // as ever.
  void set_arrival(std::shared_ptr<Arrival> arrival) UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<Arrival> arrival() const UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<Arrival> take_arrival() UMDEV_EXCLUDES(mutex_);

  // Ends the registration, in the core's steps. begin: no reference can be had any more; EBUSY (and nothing
  // has changed) when the policy is `busy` and there are some. wait: asks the users to let go; `finished`
  // runs when the last reference has gone, at the latest when they have been cut off. destroy: ends the
  // driver's object, unless a call is stuck inside it: then it is abandoned (false) and ends when that call
  // does, if ever.
  Result<> begin_unregister(RemovePolicy policy) UMDEV_EXCLUDES(mutex_);
  void wait_for_users(RemovePolicy policy, Done<> finished) UMDEV_EXCLUDES(mutex_);
  bool destroy();
  // While a wait goes on: stop waiting, take the device away as RemovePolicy::force does.
  void force() UMDEV_EXCLUDES(mutex_);

 private:
  enum class Phase : std::uint8_t { registered, unregistering, gone };

  void open_again(std::shared_ptr<DeviceUser> user, Done<std::shared_ptr<DeviceUser>> done);
  void ask_again();
  void arm_request_timer() UMDEV_EXCLUDES(mutex_);
  void arm_cut_timer(Duration limit) UMDEV_EXCLUDES(mutex_);
  void revoke_files();
  void cut_files();
  void finish_if_unused();
  void learn_regions();
  std::vector<std::shared_ptr<DeviceFile>> live_files() UMDEV_EXCLUDES(mutex_);

  const Config config_;
  os::EventFdTrust eventfd_trust_;
  std::unique_ptr<Device> device_;
  mutable std::atomic<std::uint32_t> stays_ = 0;
  std::atomic<bool> faulted_ = false;
  std::atomic<std::uint32_t> open_count_ = 0;
  // Written by the device set's queue only, while no file is open.
  std::vector<RegionBounds> region_bounds_;
  // Who has it open, and by how many files. The device set's queue only.
  struct OpenUser {
    std::shared_ptr<DeviceUser> user;
    std::uint32_t files = 0;
  };
  std::vector<OpenUser> users_;

  mutable Mutex mutex_;
  Phase phase_ UMDEV_GUARDED_BY(mutex_) = Phase::registered;
  std::string second_name_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<Arrival> arrival_ UMDEV_GUARDED_BY(mutex_);
  std::uint32_t references_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::vector<std::weak_ptr<DeviceFile>> files_ UMDEV_GUARDED_BY(mutex_);
  bool revoked_ UMDEV_GUARDED_BY(mutex_) = false;
  Done<> finished_ UMDEV_GUARDED_BY(mutex_);
  unsigned requests_ UMDEV_GUARDED_BY(mutex_) = 0;
  Timer request_timer_ UMDEV_GUARDED_BY(mutex_);
  Timer force_timer_ UMDEV_GUARDED_BY(mutex_);
};

// A counted reference on a registered device: it stays registered while this lives. Move-only.
class DeviceRef {
 public:
  DeviceRef() = default;
  // Null when the device is on its way out.
  static DeviceRef try_get(std::shared_ptr<RegisteredDevice> device);
  DeviceRef(DeviceRef&& other) noexcept = default;
  DeviceRef& operator=(DeviceRef&& other) noexcept;
  ~DeviceRef() { reset(); }

  explicit operator bool() const { return device_ != nullptr; }
  RegisteredDevice& operator*() const { return *device_; }
  RegisteredDevice* operator->() const { return device_.get(); }
  const std::shared_ptr<RegisteredDevice>& shared() const { return device_; }
  void reset();

 private:
  explicit DeviceRef(std::shared_ptr<RegisteredDevice> device) : device_(std::move(device)) {}
  std::shared_ptr<RegisteredDevice> device_;
};

}  // namespace umdev::vfio
