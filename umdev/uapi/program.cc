#include "umdev/uapi/program.h"

#include <fcntl.h>
#include <linux/capability.h>

#include <algorithm>
#include <array>

#include "umdev/uapi/copied_memory.h"

namespace umdev::uapi {
namespace {

bool may(std::uint64_t capabilities, unsigned capability) {
  return (capabilities >> capability & 1U) != 0;
}

// What an IOMMU would find when it pinned [address, end) at once.
Result<> check_presence(const std::vector<os::MemoryArea>& areas, std::uint64_t address, std::uint64_t end,
                        bool for_writing) {
  for (const os::MemoryArea& area : areas) {
    if (area.begin > address) break;
    if (!area.readable || (for_writing && !area.writable))
      return fail(EFAULT, "the memory does not allow it");
    address = area.end;
    if (address >= end) return {};
  }
  return fail(EFAULT, "a part of the memory is not there");
}

}  // namespace

Result<> CallingProgram::check() {
  if (!found_.process) found_ = UMDEV_TRY(programs_.find(caller_));
  return {};
}

Result<> CallingProgram::read(ioctl::UserAddress address, Bytes into) {
  UMDEV_TRY(check());
  if (!found_.process->read(address, into)) return fail(EFAULT, "the caller has no such memory");
  return {};
}

Result<> CallingProgram::write(ioctl::UserAddress address, ConstBytes from) {
  UMDEV_TRY(check());
  if (!found_.process->write(address, from)) return fail(EFAULT, "the caller has no such memory to write");
  return {};
}

Result<os::UniqueFd> CallingProgram::take(int fd, std::span<const std::string_view> kinds) {
  UMDEV_TRY(check());
  const auto name = found_.process->name_of_fd(fd);
  if (!name) return fail(EBADF, "the caller has no such descriptor");
  for (const std::string_view kind : kinds)
    if (name->starts_with(kind)) return found_.process->take_fd(fd);
  return fail(EINVAL, "the caller's descriptor is of another kind");
}

// Only what stays inside this kernel: closing the descriptor of somebody's FUSE file could wait for that
// somebody for ever.
Result<os::UniqueFd> CallingProgram::take_fd(int fd) {
  static constexpr std::array<std::string_view, 3> kinds{"anon_inode:", "/memfd:", "/dmabuf:"};
  return take(fd, kinds);
}

Result<os::UniqueFd> CallingProgram::take_socket(int fd) {
  static constexpr std::array<std::string_view, 1> kinds{"socket:"};
  return take(fd, kinds);
}

// Which descriptor it is the caller may change while we look, so ours is looked at.
Result<os::UniqueFd> CallingProgram::take_listener(int fd) {
  static constexpr std::array<std::string_view, 1> kinds{"anon_inode:seccomp notify"};
  os::UniqueFd taken = UMDEV_TRY(take(fd, kinds));
  if (UMDEV_TRY(os::name_of(taken.get())) != kinds[0]) return fail(EINVAL, "no listener of a filter");
  return taken;
}

// By its name as we see it, and as the file that we find there: another /proc, of which the caller is the
// master, has files of such names, too.
Result<os::UniqueFd> CallingProgram::take_memory_of(pid_t thread, int fd) {
  static constexpr std::array<std::string_view, 1> kinds{"/proc/"};
  os::UniqueFd taken = UMDEV_TRY(take(fd, kinds));
  const auto process = UMDEV_TRY(os::Process::open(thread));
  const os::UniqueFd known = UMDEV_TRY(process->open_memory());
  const bool is_it = UMDEV_TRY(os::name_of(taken.get())) == UMDEV_TRY(os::name_of(known.get())) &&
                     UMDEV_TRY(os::identity_of(taken.get())) == UMDEV_TRY(os::identity_of(known.get()));
  if (!is_it || (::fcntl(taken.get(), F_GETFL) & O_ACCMODE) != O_RDWR)
    return fail(EINVAL, "the descriptor does not show that the caller may touch the program");
  return taken;
}

Result<std::shared_ptr<ioctl::File>> CallingProgram::file(int fd) {
  UMDEV_TRY(check());
  const auto identity = found_.process->identity_of_fd(fd);
  if (!identity) return fail(EBADF, "the caller has no such descriptor");
  return files_.find(*identity);
}

Result<ioctl::Memory> CallingProgram::memory(const ioctl::MemoryRequest& request) {
  UMDEV_TRY(check());
  return found_.program->lend(found_.process, request, files_);
}

Result<ioctl::Memory> CallingProgram::memory_of_file(int fd, std::uint64_t offset, std::uint64_t size,
                                                     iommu::Access access) {
  os::UniqueFd file = UMDEV_TRY(take_fd(fd));
  return found_.program->lend_file(std::move(file), offset, size, allows(access, iommu::Access::write));
}

// What is mapped for devices counts against nobody's RLIMIT_MEMLOCK: nothing of it is locked. Of a caller
// that is gone: no rights at all.
ioctl::Credentials CallingProgram::credentials() {
  if (!check()) return {};
  const std::uint64_t capabilities = found_.process->capabilities();
  return {.sys_rawio = may(capabilities, CAP_SYS_RAWIO),
          .sys_resource = may(capabilities, CAP_SYS_RESOURCE),
          .ipc_lock = may(capabilities, CAP_IPC_LOCK)};
}

std::shared_ptr<ioctl::LockedMemory> CallingProgram::locked_memory() {
  if (!check()) return std::make_shared<ioctl::LockedMemory>();
  return found_.program->locked_memory();
}

Result<ioctl::Memory> Program::lend(const std::shared_ptr<os::Process>& process,
                                    const ioctl::MemoryRequest& request, const FileTable& files) {
  const std::uint64_t end = request.address + request.size;
  const bool for_writing = allows(request.access, iommu::Access::write);
  const auto areas = process->areas(request.address, end);
  if (!areas) return fail(EFAULT, areas.error().text);
  if (request.must_be_there) UMDEV_TRY(check_presence(*areas, request.address, end, for_writing));
  if (!request.device_memory)
    for (const os::MemoryArea& area : *areas)
      if (files.is_device_memory(area.file)) return fail(EFAULT, "the memory is a device's");
  if (areas->size() == 1 && areas->front().begin <= request.address && areas->front().end >= end) {
    const os::MemoryArea& area = areas->front();
    if (auto fd = process->open_file_of(area, for_writing)) {
      const std::uint64_t offset = area.offset + (request.address - area.begin);
      auto lent = lend_file(std::move(*fd), offset, request.size, for_writing);
      if (lent) return lent;
    }
  }
  // Of the whole process, for the thread that lends it may end before; or of the thread, where it has
  // survived the first one.
  auto copied = CopiedMemory::create(copier_, leader_, request.address);
  if (!copied) copied = CopiedMemory::create(copier_, process, request.address);
  return ioctl::Memory{.backing = UMDEV_TRY(std::move(copied)), .offset = 0};
}

Result<ioctl::Memory> Program::lend_file(os::UniqueFd fd, std::uint64_t offset, std::uint64_t size,
                                         bool writable) {
  Lock lock(mutex_);
  auto slice = UMDEV_TRY(memory_.share(std::move(fd), offset, size, writable));
  return ioctl::Memory{.backing = std::move(slice.backing), .offset = slice.offset};
}

Programs::Programs(const FileTable& files, const Limits& limits, Executor* second_copier)
    : files_(files),
      limits_(limits),
      budget_(std::make_shared<iommu::MappingBudget>(limits.file_mappings, limits.mapped_bytes)),
      copier_(std::make_shared<MemoryCopier>(second_copier)) {}

Result<CallingThread> Programs::find(const fuse::Caller& caller) {
  CallingThread found;
  {
    Lock lock(mutex_);
    if (const auto known = threads_.find(caller.pid); known != threads_.end()) found = known->second;
  }
  // Another thread of that number by now, or one that has changed its user.
  if (!found.process || !found.process->is_alive() || found.process->user() != caller.uid)
    found = UMDEV_TRY(remember(caller.pid));
  if (found.process->user() != caller.uid) return fail(EPERM, "the caller is somebody else by now");
  return found;
}

// Those that have ended, as soon as they may be the half; each holds a descriptor of ours.
void Programs::forget_some() {
  if (threads_.size() < forget_at_) return;
  std::erase_if(threads_, [](const auto& entry) { return !entry.second.process->is_alive(); });
  if (threads_.size() >= limits_.remembered_threads) threads_.clear();
  std::erase_if(programs_, [](const auto& entry) { return entry.second.expired(); });
  forget_at_ = std::max<std::size_t>(8, threads_.size() * 2);
}

Result<CallingThread> Programs::remember(pid_t thread) {
  CallingThread made{.process = UMDEV_TRY(os::Process::open(thread)), .program = nullptr};
  auto leader =
      made.process->id() == thread ? made.process : UMDEV_TRY(os::Process::open(made.process->id()));
  Lock lock(mutex_);
  std::weak_ptr<Program>& known = programs_[leader->id()];
  made.program = known.lock();
  if (!made.program || !made.program->leader().is_alive()) {
    made.program =
        std::make_shared<Program>(std::move(leader), copier_,
                                  iommu::ClientMemoryLimits{.mappings = limits_.file_mappings_per_program,
                                                            .bytes = limits_.mapped_bytes_per_program,
                                                            .whole_file = limits_.whole_file},
                                  budget_);
    known = made.program;
  }
  forget_some();
  threads_[thread] = made;
  return made;
}

}  // namespace umdev::uapi
