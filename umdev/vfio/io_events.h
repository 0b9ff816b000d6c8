// A user's eventfds that stand for writes to a region (VFIO_DEVICE_IOEVENTFD): whoever signals one makes the
// device see the write, without a call of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/fd_watcher.h"

namespace umdev::vfio {

class RegisteredDevice;
class User;

// A write of the low `size` bytes of `data`. No two of a user are the same.
struct IoEvent {
  std::uint32_t region = 0;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;  // 1, 2, 4 or 8
  std::uint64_t data = 0;
  friend bool operator==(const IoEvent&, const IoEvent&) = default;
};

// Signals that come while a write is on its way are one write. Writes go to the device as any of the user's
// would; what they answer, nobody is told. All members from any thread.
class IoEvents {
 public:
  // VFIO_PCI_IOEVENTFD_MAX.
  static constexpr std::size_t most = 1000;

  // Of a user of the device. `watcher` may be null.
  IoEvents(RegisteredDevice& device, const User& user, FdWatcher* watcher)
      : device_(device), user_(user), watcher_(watcher) {}

  // EEXIST: there is the same; ENOSPC: there are too many.
  Result<> may_add(const IoEvent& event) const UMDEV_EXCLUDES(mutex_);
  // The same, and EINVAL: no eventfd; EOPNOTSUPP: nobody watches.
  Result<> add(const IoEvent& event, os::UniqueFd fd) UMDEV_EXCLUDES(mutex_);
  // ENODEV: there is none.
  Result<> remove(const IoEvent& event) UMDEV_EXCLUDES(mutex_);
  // At the user's end. A write that is on its way ends by itself.
  void clear() UMDEV_EXCLUDES(mutex_);

 private:
  struct Link;
  struct Entry {
    IoEvent event;
    std::shared_ptr<Link> link;
    std::unique_ptr<FdWatcher::Watch> watch;
  };
  Result<> check(const IoEvent& event) const UMDEV_REQUIRES(mutex_);

  RegisteredDevice& device_;
  const User& user_;
  FdWatcher* const watcher_;
  mutable Mutex mutex_;
  std::vector<Entry> entries_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
