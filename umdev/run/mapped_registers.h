// The registers that traced programs have mapped, as whoever traces them reaches them: from the supervisor by
// calls of the daemon (register_files.h), in the daemon itself without.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/os/process.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::run {

// The registers of one open device. Offsets are those of its file. Thread-safe. An access returns when the
// device has answered.
class DeviceRegisters {
 public:
  virtual ~DeviceRegisters() = default;

  // The device's errors; ENODEV once the program has closed it. What lies behind the end of a region that is
  // no whole number of pages reads as ones, and is not written.
  virtual Result<> read(std::uint64_t offset, Bytes into) const = 0;
  virtual Result<> write(std::uint64_t offset, ConstBytes from) const = 0;

  // Has the daemon's log say that a program's instruction is not known.
  virtual void say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const = 0;
};

// Thread-safe.
class MappedRegisters {
 public:
  virtual ~MappedRegisters() = default;

  // By what is mapped in their place; null for anything else.
  virtual std::shared_ptr<DeviceRegisters> of_memory(const os::FileIdentity& faults) const = 0;
  // May memory of that file be read and written by whoever traces? Not when its pages come from ourselves:
  // who serves a file system and waits for it, too, never ends.
  virtual bool may_touch(const os::FileIdentity& file) const = 0;
};

}  // namespace umdev::run
