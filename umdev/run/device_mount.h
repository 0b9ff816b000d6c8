// The daemon's mount of device nodes, as a supervisor uses it (umdev/abi/supervised.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "umdev/abi/supervised.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/mutex.h"

namespace umdev::run {

// What an ioctl that was made for a program gave.
struct CarriedAnswer {
  std::int32_t value = 0;
  os::UniqueFd fd;  // a new descriptor that the program shall have
  // Where in the argument its number goes, in bytes; else it is the call's result.
  std::optional<std::size_t> number_at;
};

struct CarriedPiece {
  std::uint64_t position = 0;
  os::UniqueFd fd;              // none: registers
  std::uint64_t fd_offset = 0;  // of registers: in the device's file
  std::uint64_t length = 0;
};

// As abi::SupervisedRegisters.
struct CarriedRegisters {
  os::UniqueFd file;    // to read and write them
  os::UniqueFd faults;  // to be mapped in their place
};

// Thread-safe: calls of several threads run side by side. A daemon that has died is ENOTCONN everywhere.
class DeviceMount {
 public:
  // `path` is the mount's. ENOENT, ENOTCONN.
  static Result<std::unique_ptr<DeviceMount>> open(const std::string& path);

  dev_t device() const { return device_; }

  // ioctl(fd, command, argument) on a file of the mount; what it writes is in `argument` afterwards, also
  // when it fails.
  Result<CarriedAnswer> ioctl(int fd, std::uint32_t command, Bytes argument) UMDEV_EXCLUDES(mutex_);
  Result<std::vector<CarriedPiece>> mmap(int fd, std::uint64_t offset, std::uint64_t length, bool shared,
                                         bool writable) UMDEV_EXCLUDES(mutex_);
  // Leaves a stopped mmap() to the daemon: after success it has been answered. Any error: it has not.
  Result<> map_traced(abi::SupervisedTracedMmap words) UMDEV_EXCLUDES(mutex_);
  // EBADF, EINVAL: `fd` is no device of the mount.
  Result<CarriedRegisters> registers(int fd) UMDEV_EXCLUDES(mutex_);

 private:
  // What one call at a time is made by.
  struct Desk {
    os::UniqueFd node;
    os::UniqueFd channel;        // read here
    os::UniqueFd their_channel;  // written by the daemon
  };
  class Borrowed;

  DeviceMount(os::UniqueFd root, dev_t device) : root_(std::move(root)), device_(device) {}
  Result<os::UniqueFd> open_node() const;
  Result<Borrowed> borrow() UMDEV_EXCLUDES(mutex_);
  Result<os::UniqueFd> open_new(std::uint64_t token) const;

  const os::UniqueFd root_;
  const dev_t device_;
  Mutex mutex_;
  std::vector<Desk> idle_ UMDEV_GUARDED_BY(mutex_);
  os::UniqueFd tracing_ UMDEV_GUARDED_BY(mutex_);  // the daemon traces for as long as it is open
};

}  // namespace umdev::run
