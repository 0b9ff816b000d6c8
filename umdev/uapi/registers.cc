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
      if (device_.expired()) return done(std::unexpected(closed()));
      return done(ioctl::Answer{});
    case abi::supervised_unknown:
      return done(say_unknown(*caller, argument));
    default:
      return done(fail(ENOTTY, "registers know no such command"));
  }
}

Result<ioctl::Answer> Registers::say_unknown(ioctl::Caller& caller, std::uint64_t argument) const {
  abi::SupervisedUnknown words{};
  UMDEV_TRY(caller.read(argument, std::as_writable_bytes(std::span(&words, 1))));
  const auto code = std::span(words.code).first(std::min<std::size_t>(words.size, sizeof words.code));
  log_.warning(fmt::format(
      "process {}: its access to a mapped register (at {:#x} of the device's file) is SIGBUS: the "
      "instruction {:02x} is none that can be carried out",
      words.process, words.offset, fmt::join(code, " ")));
  return ioctl::Answer{};
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
