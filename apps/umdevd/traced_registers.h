// The registers of devices, for the tracers of programs in this process.
#pragma once

#include <map>
#include <vector>

#include "umdev/run/mapped_registers.h"
#include "umdev/support/mutex.h"
#include "umdev/uapi/registers.h"

namespace umdev::daemon {

// Those that the programs of one tracer have mapped. Thread-safe; the lock is a leaf. An access waits for the
// device on the thread that makes it: as long as the core gives a device at most.
class TracedRegisters final : public run::MappedRegisters {
 public:
  // Memory of these file systems, which are our own, is not touched.
  explicit TracedRegisters(std::vector<dev_t> own_mounts) : own_mounts_(std::move(own_mounts)) {}

  // Once for each file that faults; again changes nothing.
  void add(const os::FileIdentity& faults, std::shared_ptr<uapi::Registers> registers) UMDEV_EXCLUDES(mutex_);

  // ^run::MappedRegisters
  std::shared_ptr<run::DeviceRegisters> of_memory(const os::FileIdentity& faults) const override
      UMDEV_EXCLUDES(mutex_);
  bool may_touch(const os::FileIdentity& file) const override;

 private:
  class Waited;

  const std::vector<dev_t> own_mounts_;
  mutable Mutex mutex_;
  std::map<os::FileIdentity, std::shared_ptr<Waited>> known_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::daemon
