#include "umdev/uapi/registers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "umdev/abi/supervised.h"

namespace umdev::uapi {
namespace {

Error closed() {
  return {ENODEV, "the program has closed the device"};
}

}  // namespace

Result<std::shared_ptr<Registers>> Registers::of(const std::shared_ptr<ioctl::File>& device, Log& log) {
  if (device->kind() != ioctl::FileKind::device) return fail(EINVAL, "only devices have registers");
  return std::shared_ptr<Registers>(new Registers(device, log));
}

void Registers::ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<ioctl::Caller> caller,
                      Done<ioctl::Answer> done) {
  switch (command) {
    case abi::supervised_is_open:
      if (!is_open()) return done(std::unexpected(closed()));
      return done(ioctl::Answer{});
    case abi::supervised_unknown:
      return done(hear_unknown(*caller, argument));
    default:
      return done(fail(ENOTTY, "registers know no such command"));
  }
}

Result<ioctl::Answer> Registers::hear_unknown(ioctl::Caller& caller, std::uint64_t argument) const {
  abi::SupervisedUnknown words{};
  UMDEV_TRY(caller.read(argument, std::as_writable_bytes(std::span(&words, 1))));
  const auto code = std::span(words.code).first(std::min<std::size_t>(words.size, sizeof words.code));
  say_unknown(words.process, words.offset, std::as_bytes(code));
  return ioctl::Answer{};
}

void Registers::say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(code.data()), code.size());
  log_.warning(fmt::format(
      "process {}: its access to a mapped register (at {:#x} of the device's file) is SIGBUS: the "
      "instruction {:02x} is none that can be carried out",
      process, offset, fmt::join(bytes, " ")));
}

void Registers::read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) {
  const auto device = device_.lock();
  if (!device) return done(std::unexpected(closed()));
  device->read(offset, into, std::move(owner), std::move(done));
}

void Registers::write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
                      Done<std::size_t> done) {
  const auto device = device_.lock();
  if (!device) return done(std::unexpected(closed()));
  device->write(offset, from, std::move(owner), std::move(done));
}

}  // namespace umdev::uapi
