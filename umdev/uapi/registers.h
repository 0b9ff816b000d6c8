// The registers of a device, for accesses that a supervisor makes in a program's place.
#pragma once

#include "umdev/ioctl/file.h"
#include "umdev/support/log.h"

namespace umdev::uapi {

// Reads and writes as the device's file does (a file of kind device), but does not keep it: once the program
// has closed it, everything here is ENODEV. Thread-safe. The log outlives it.
class Registers final : public ioctl::File {
 public:
  // EINVAL for a file that is no device.
  static Result<std::shared_ptr<Registers>> of(const std::shared_ptr<ioctl::File>& device, Log& log);

  bool is_open() const { return !device_.expired(); }
  // Says in the log that a program's instruction is none that can be carried out.
  void say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const;

  // ^ioctl::File. The only commands are abi::supervised_is_open and abi::supervised_unknown.
  ioctl::FileKind kind() const override { return ioctl::FileKind::device; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<ioctl::Caller> caller,
             Done<ioctl::Answer> done) override;
  void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) override;
  void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
             Done<std::size_t> done) override;

 private:
  Registers(std::weak_ptr<ioctl::File> device, Log& log) : device_(std::move(device)), log_(log) {}
  Result<ioctl::Answer> hear_unknown(ioctl::Caller& caller, std::uint64_t argument) const;

  const std::weak_ptr<ioctl::File> device_;
  Log& log_;
};

}  // namespace umdev::uapi
