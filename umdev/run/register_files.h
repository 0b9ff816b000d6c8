// The registers that the supervised programs have mapped, reached by calls of the daemon: what faults in
// their place, and whose they are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "umdev/os/process.h"
#include "umdev/run/device_mount.h"
#include "umdev/run/mapped_registers.h"
#include "umdev/support/bytes.h"
#include "umdev/support/mutex.h"

namespace umdev::run {

// The registers of one open device. Besides a device's errors: ENOTCONN once the daemon is gone.
class RegisterFile final : public DeviceRegisters {
 public:
  explicit RegisterFile(CarriedRegisters registers) : registers_(std::move(registers)) {}

  // To be mapped: each access is a SIGBUS.
  int faults() const { return registers_.faults.get(); }

  bool is_open() const;

  // ^DeviceRegisters
  Result<> read(std::uint64_t offset, Bytes into) const override;
  Result<> write(std::uint64_t offset, ConstBytes from) const override;
  void say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const override;

 private:
  const CarriedRegisters registers_;
};

// Thread-safe; the lock is a leaf.
class RegisterFiles final : public MappedRegisters {
 public:
  explicit RegisterFiles(DeviceMount& devices) : devices_(devices) {}

  // Of a device, by a descriptor of ours: always the same for the same open file.
  Result<std::shared_ptr<RegisterFile>> of_device(int fd) UMDEV_EXCLUDES(mutex_);

  // ^MappedRegisters
  std::shared_ptr<DeviceRegisters> of_memory(const os::FileIdentity& faults) const override
      UMDEV_EXCLUDES(mutex_);
  bool may_touch(const os::FileIdentity&) const override { return true; }

 private:
  struct Entry {
    os::FileIdentity faults;
    std::shared_ptr<RegisterFile> file;
  };
  void forget_closed() UMDEV_EXCLUDES(mutex_);

  DeviceMount& devices_;
  mutable Mutex mutex_;
  std::size_t forget_at_ UMDEV_GUARDED_BY(mutex_) = 16;
  std::map<os::FileIdentity, Entry> by_device_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::run
