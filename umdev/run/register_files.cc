#include "umdev/run/register_files.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "umdev/abi/supervised.h"
#include "umdev/os/system_error.h"

namespace umdev::run {

Result<> RegisterFile::read(std::uint64_t offset, Bytes into) const {
  const int fd = registers_.file.get();
  const ssize_t count = os::retry_interrupted(
      [&] { return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)); });
  if (count < 0) return os::fail_errno("the registers cannot be read");
  const Bytes rest = into.subspan(static_cast<std::size_t>(count));
  std::ranges::fill(rest, std::byte{0xff});
  return {};
}

Result<> RegisterFile::write(std::uint64_t offset, ConstBytes from) const {
  const int fd = registers_.file.get();
  const ssize_t count = os::retry_interrupted(
      [&] { return ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(offset)); });
  if (count < 0) return os::fail_errno("the registers cannot be written");
  return {};
}

bool RegisterFile::is_open() const {
  return ::ioctl(registers_.file.get(), abi::supervised_is_open, 0) == 0;
}

void RegisterFile::say_unknown(std::int32_t process, std::uint64_t offset, ConstBytes code) const {
  abi::SupervisedUnknown words{.offset = offset, .process = process, .size = 0, .code = {}};
  words.size = static_cast<std::uint32_t>(std::min(code.size(), sizeof words.code));
  std::memcpy(words.code, code.data(), words.size);
  (void)::ioctl(registers_.file.get(), abi::supervised_unknown, &words);
}

Result<std::shared_ptr<RegisterFile>> RegisterFiles::of_device(int fd) {
  const os::FileIdentity device = UMDEV_TRY(os::identity_of(fd));
  {
    Lock lock(mutex_);
    if (const auto known = by_device_.find(device); known != by_device_.end()) return known->second.file;
  }
  forget_closed();
  auto file = std::make_shared<RegisterFile>(UMDEV_TRY(devices_.registers(fd)));
  const os::FileIdentity faults = UMDEV_TRY(os::identity_of(file->faults()));
  Lock lock(mutex_);
  // Another thread's may have come first.
  return by_device_.try_emplace(device, Entry{.faults = faults, .file = std::move(file)}).first->second.file;
}

std::shared_ptr<DeviceRegisters> RegisterFiles::of_memory(const os::FileIdentity& faults) const {
  Lock lock(mutex_);
  for (const auto& [device, entry] : by_device_)
    if (entry.faults == faults) return entry.file;
  return nullptr;
}

// As soon as they may be the half. The daemon is asked without the lock.
void RegisterFiles::forget_closed() {
  std::vector<std::pair<os::FileIdentity, std::shared_ptr<RegisterFile>>> all;
  {
    Lock lock(mutex_);
    if (by_device_.size() < forget_at_) return;
    for (const auto& [device, entry] : by_device_) all.emplace_back(device, entry.file);
  }
  std::erase_if(all, [](const auto& entry) { return entry.second->is_open(); });
  Lock lock(mutex_);
  for (const auto& [device, file] : all) by_device_.erase(device);
  forget_at_ = std::max<std::size_t>(16, by_device_.size() * 2);
}

}  // namespace umdev::run
