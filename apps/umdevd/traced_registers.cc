#include "apps/umdevd/traced_registers.h"

#include <algorithm>
#include <array>
#include <optional>

namespace umdev::daemon {
namespace {

// An access under way. The buffer is the driver's for as long as it wants, which may be after the answer.
class Access {
 public:
  static constexpr std::size_t size_max = 8;

  Bytes buffer(std::size_t size) { return Bytes(buffer_).first(size); }

  void answer(Result<std::size_t> count) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    count_ = count;
    answered_.notify_all();
  }
  Result<std::size_t> wait() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    while (!count_) answered_.wait(mutex_);
    return *count_;
  }

 private:
  std::array<std::byte, size_max> buffer_{};
  Mutex mutex_;
  Condition answered_;
  std::optional<Result<std::size_t>> count_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace

class TracedRegisters::Waited final : public run::DeviceRegisters {
 public:
  explicit Waited(std::shared_ptr<uapi::Registers> registers) : registers_(std::move(registers)) {}

  bool is_open() const { return registers_->is_open(); }

  // ^run::DeviceRegisters
  Result<> read(std::uint64_t offset, Bytes into) const override {
    UMDEV_TRY(check(into.size()));
    const auto access = std::make_shared<Access>();
    const Bytes buffer = access->buffer(into.size());
    registers_->read(offset, buffer, access, [access](Result<std::size_t> count) { access->answer(count); });
    const std::size_t count = UMDEV_TRY(access->wait());
    std::ranges::fill(into, std::byte{0xff});
    std::ranges::copy(buffer.first(std::min(count, buffer.size())), into.begin());
    return {};
  }
  Result<> write(std::uint64_t offset, ConstBytes from) const override {
    UMDEV_TRY(check(from.size()));
    const auto access = std::make_shared<Access>();
    const Bytes buffer = access->buffer(from.size());
    std::ranges::copy(from, buffer.begin());
    registers_->write(offset, buffer, access, [access](Result<std::size_t> count) { access->answer(count); });
    UMDEV_TRY(access->wait());
    return {};
  }
  void say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const override {
    registers_->say_unknown(process, offset, code);
  }

 private:
  static Result<> check(std::size_t size) {
    if (size > Access::size_max) return fail(EINVAL, "no access to a register is so large");
    return {};
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
