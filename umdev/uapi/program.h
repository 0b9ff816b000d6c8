// The programs whose system calls arrive here, and their memory.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>

#include "umdev/fuse/file_system.h"
#include "umdev/ioctl/caller.h"
#include "umdev/ioctl/locked_memory.h"
#include "umdev/iommu/client_memory.h"
#include "umdev/os/process.h"
#include "umdev/support/mutex.h"
#include "umdev/uapi/file_table.h"
#include "umdev/uapi/limits.h"
#include "umdev/uapi/memory_copier.h"

namespace umdev::uapi {

// What the calls of one process have in common, for as long as a call or some memory of it is used.
// Thread-safe.
class Program {
 public:
  Program(std::shared_ptr<os::Process> leader, std::shared_ptr<MemoryCopier> copier,
          const iommu::ClientMemoryLimits& limits, std::shared_ptr<iommu::MappingBudget> budget)
      : leader_(std::move(leader)), copier_(std::move(copier)), memory_(limits, std::move(budget)) {}

  const os::Process& leader() const { return *leader_; }
  const std::shared_ptr<ioctl::LockedMemory>& locked_memory() const { return locked_memory_; }

  // Memory of its for devices: shared with us where it is of a file that we can map, otherwise copied each
  // time. As ioctl::Caller::memory().
  Result<ioctl::Memory> lend(const std::shared_ptr<os::Process>& process, const ioctl::MemoryRequest& request,
                             const FileTable& files) UMDEV_EXCLUDES(mutex_);
  Result<ioctl::Memory> lend_file(os::UniqueFd fd, std::uint64_t offset, std::uint64_t size, bool writable)
      UMDEV_EXCLUDES(mutex_);

 private:
  const std::shared_ptr<os::Process> leader_;
  const std::shared_ptr<MemoryCopier> copier_;
  const std::shared_ptr<ioctl::LockedMemory> locked_memory_ = std::make_shared<ioctl::LockedMemory>();
  Mutex mutex_;
  iommu::ClientMemory memory_ UMDEV_GUARDED_BY(mutex_);
};

class Programs;

// A thread that makes calls, and its program.
struct CallingThread {
  std::shared_ptr<os::Process> process;
  std::shared_ptr<Program> program;
};

// One call of a program. Who it is, is only looked at when the call asks something of it: many ask nothing.
// What is asked of a caller that cannot be found is the errors of check(). Programs and files outlive it.
class CallingProgram final : public ioctl::Caller {
 public:
  CallingProgram(Programs& programs, const FileTable& files, const fuse::Caller& caller)
      : programs_(programs), files_(files), caller_(caller) {}

  // ESRCH: the caller is gone, or cannot be seen from here. EPERM: the number is of somebody else than who
  // called (a process of another user, which we must not touch in the caller's name), or we may not look
  // into it.
  Result<> check();

  // A socket of the caller's. EBADF; EINVAL.
  Result<os::UniqueFd> take_socket(int fd);
  // What listens to a filter for system calls. EBADF; EINVAL.
  Result<os::UniqueFd> take_listener(int fd);
  // The memory of a thread, open for writing: whoever has that may do with the thread's program what it
  // likes. EBADF; EINVAL for anything else, and for the memory of another one.
  Result<os::UniqueFd> take_memory_of(pid_t thread, int fd);

  // ^ioctl::Caller
  Result<> read(ioctl::UserAddress address, Bytes into) override;
  Result<> write(ioctl::UserAddress address, ConstBytes from) override;
  Result<os::UniqueFd> take_fd(int fd) override;
  Result<std::shared_ptr<ioctl::File>> file(int fd) override;
  Result<ioctl::Memory> memory(const ioctl::MemoryRequest& request) override;
  Result<ioctl::Memory> memory_of_file(int fd, std::uint64_t offset, std::uint64_t size,
                                       iommu::Access access) override;
  ioctl::Credentials credentials() override;
  std::shared_ptr<ioctl::LockedMemory> locked_memory() override;

 private:
  Result<os::UniqueFd> take(int fd, std::span<const std::string_view> kinds);

  Programs& programs_;
  const FileTable& files_;
  const fuse::Caller caller_;
  CallingThread found_;
};

// Finds who makes a call. Thread-safe; the lock is a leaf.
class Programs {
 public:
  // `second_copier`: MemoryCopier's.
  Programs(const FileTable& files, const Limits& limits, Executor* second_copier);

  // CallingProgram::check's errors.
  Result<CallingThread> find(const fuse::Caller& caller) UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<CallingProgram> call_of(const fuse::Caller& caller) {
    return std::make_shared<CallingProgram>(*this, files_, caller);
  }

  std::uint32_t mappings() const { return budget_->mappings(); }

 private:
  Result<CallingThread> remember(pid_t thread) UMDEV_EXCLUDES(mutex_);

  void forget_some() UMDEV_REQUIRES(mutex_);

  const FileTable& files_;
  const Limits limits_;
  const std::shared_ptr<iommu::MappingBudget> budget_;
  const std::shared_ptr<MemoryCopier> copier_;
  Mutex mutex_;
  std::size_t forget_at_ UMDEV_GUARDED_BY(mutex_) = 8;
  std::unordered_map<pid_t, CallingThread> threads_ UMDEV_GUARDED_BY(mutex_);
  std::unordered_map<pid_t, std::weak_ptr<Program>> programs_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::uapi
