#include "apps/umdevd/traced_registers.h"

#include <algorithm>
#include <array>

#include "umdev/support/awaited.h"

namespace umdev::daemon {
namespace {

// An access under way. The buffer is the driver's for as long as it wants, which may be after the answer.
struct Access {
  std::array<std::byte, 8> buffer{};
  Awaited<std::size_t> count;
};

}  // namespace

class TracedRegisters::Waited final : public run::DeviceRegisters {
 public:
  explicit Waited(std::shared_ptr<uapi::Registers> registers) : registers_(std::move(registers)) {}

  bool is_open() const { return registers_->is_open(); }

  // ^run::DeviceRegisters
  Result<> read(std::uint64_t offset, Bytes into) const override {
    const auto access = UMDEV_TRY(make_access(into.size()));
    const Bytes buffer = Bytes(access->buffer).first(into.size());
    registers_->read(offset, buffer, access,
                     [access](Result<std::size_t> count) { access->count.complete(count); });
    const std::size_t count = UMDEV_TRY(access->count.wait());
    std::ranges::fill(into, std::byte{0xff});
    std::ranges::copy(buffer.first(std::min(count, buffer.size())), into.begin());
    return {};
  }
  Result<> write(std::uint64_t offset, ConstBytes from) const override {
    const auto access = UMDEV_TRY(make_access(from.size()));
    const Bytes buffer = Bytes(access->buffer).first(from.size());
    std::ranges::copy(from, buffer.begin());
    registers_->write(offset, buffer, access,
                      [access](Result<std::size_t> count) { access->count.complete(count); });
    UMDEV_TRY(access->count.wait());
    return {};
  }
  void say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const override {
    registers_->say_unknown(process, offset, code);
  }

 private:
  static Result<std::shared_ptr<Access>> make_access(std::size_t size) {
    auto access = std::make_shared<Access>();
    if (size > access->buffer.size()) return fail(EINVAL, "no access to a register is so large");
    return access;
  }

  const std::shared_ptr<uapi::Registers> registers_;
};

// Those whose device is closed go when another comes.
void TracedRegisters::add(const os::FileIdentity& faults, std::shared_ptr<uapi::Registers> registers) {
  Lock lock(mutex_);
  if (known_.contains(faults)) return;
  std::erase_if(known_, [](const auto& entry) { return !entry.second->is_open(); });
  known_.emplace(faults, std::make_shared<Waited>(std::move(registers)));
}

std::shared_ptr<run::DeviceRegisters> TracedRegisters::of_memory(const os::FileIdentity& faults) const {
  Lock lock(mutex_);
  const auto found = known_.find(faults);
  return found == known_.end() ? nullptr : found->second;
}

bool TracedRegisters::may_touch(const os::FileIdentity& file) const {
  return std::ranges::find(own_mounts_, file.device) == own_mounts_.end();
}

}  // namespace umdev::daemon
