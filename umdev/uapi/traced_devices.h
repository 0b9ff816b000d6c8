// The devices whose registers a supervisor's programs have mapped, and what faults in their place.
#pragma once

#include <map>
#include <memory>

#include "umdev/os/process.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/log.h"
#include "umdev/support/mutex.h"
#include "umdev/uapi/file_table.h"
#include "umdev/uapi/registers.h"

namespace umdev::uapi {

// An empty file that stays empty: to be mapped in the place of registers, so that each access is SIGBUS.
// Devices take such memory for a device's.
Result<os::UniqueFd> make_faults(FileTable& files);

// Thread-safe; the lock is a leaf. Files and log outlive it.
class TracedDevices {
 public:
  TracedDevices(FileTable& files, Log& log) : files_(files), log_(log) {}

  struct Entry {
    std::shared_ptr<Registers> registers;
    os::UniqueFd faults;
    os::FileIdentity identity;  // of `faults`
  };
  // Always the same for the same open file. EINVAL for one that is no device.
  Result<std::shared_ptr<const Entry>> of(const std::shared_ptr<ioctl::File>& device) UMDEV_EXCLUDES(mutex_);

 private:
  FileTable& files_;
  Log& log_;
  Mutex mutex_;
  std::map<std::weak_ptr<ioctl::File>, std::shared_ptr<const Entry>, std::owner_less<>> entries_
      UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::uapi
