#include "umdev/iommu/client_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "umdev/os/system_call.h"

namespace umdev::iommu {
namespace {

// Only memory files (memfd, tmpfs, hugetlbfs) have seals. Asking stays inside the kernel, whatever the
// descriptor is, which fstatfs() does not: a FUSE server may answer that one never.
std::optional<long> seals_of(int fd) {
  const long seals = os::system_call<&::fcntl, SYS_fcntl>(fd, F_GET_SEALS);
  if (seals < 0) return std::nullopt;
  return seals;
}

// What mmap() looks at.
bool is_opened_for(int fd, bool writable) {
  const long flags = os::system_call<&::fcntl, SYS_fcntl>(fd, F_GETFL);
  const long mode = flags & O_ACCMODE;
  return flags >= 0 && (mode == O_RDWR || (mode == O_RDONLY && !writable));
}

// Kernels before 6.7 refuse files with one of these even to those that only read.
constexpr long seals_against_writing = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

}  // namespace

Result<ClientFileStatus> look_at_client_file(int fd, bool writable) {
  struct statx status{};
  const long looked = os::system_call<&::statx, SYS_statx>(
      fd, static_cast<const char*>(""), AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status);
  if (looked < 0) return fail(static_cast<int>(-looked), "cannot look at the client's file");
  if (!S_ISREG(status.stx_mode)) return fail(ENODEV, "the client's file is not a regular one");
  return ClientFileStatus{.identity = {.device = makedev(status.stx_dev_major, status.stx_dev_minor),
                                       .inode = status.stx_ino,
                                       .writable = writable},
                          .size = status.stx_size,
                          // hugetlbfs says how large its own are
                          .has_usual_pages = status.stx_blksize == os::page_size()};
}

Result<bool> is_sure_to_map(int fd, const ClientFileStatus& status) {
  const std::optional<long> seals = seals_of(fd);
  // A file system without a block device below it may be FUSE or a network's.
  if (!seals && major(status.identity.device) == 0)
    return fail(EOPNOTSUPP, "the pages of the client's file may be served by somebody else");
  return seals && (*seals & seals_against_writing) == 0 && status.has_usual_pages &&
         is_opened_for(fd, status.identity.writable);
}

Result<std::shared_ptr<ClientFile>> ClientFile::open(os::UniqueFd fd, Part part, bool sure_to_map,
                                                     std::shared_ptr<MappingBudget> budget) {
  UMDEV_TRY(budget->charge(part.size));
  std::shared_ptr<ClientFile> file(new ClientFile(std::move(fd), part, std::move(budget)));
  if (sure_to_map) return file;
  Lock lock(file->mutex_);
  UMDEV_TRY(file->map());
  return file;
}

ClientFile::ClientFile(os::UniqueFd fd, Part part, std::shared_ptr<MappingBudget> budget)
    : fd_(std::move(fd)), part_(part), budget_(std::move(budget)) {}

ClientFile::~ClientFile() {
  budget_->refund(part_.size);
}

Result<> ClientFile::map() {
  if (view_) return {};
  if (gone_) return fail(EFAULT, "the memory was taken back");
  const auto protection = part_.writable ? os::Protection::read_write : os::Protection::read;
  os::Mapping mapping = UMDEV_TRY(os::Mapping::of_fd(fd_.get(), part_.offset, part_.size, protection));
  auto guard = UMDEV_TRY(os::FaultGuard::protect(mapping));
  view_.emplace(std::move(mapping), std::move(guard));
  seen_.store(&*view_, std::memory_order_release);
  return {};
}

Bytes ClientFile::mapped() {
  const View* view = seen_.load(std::memory_order_acquire);
  if (view == nullptr) {
    Lock lock(mutex_);
    if (!map()) return {};
    view = &*view_;
  }
  return {view->mapping.data(), view->mapping.size()};
}

bool ClientFile::serves(std::uint64_t offset, std::uint64_t size) const {
  return !revoked_.load() && intact() && offset >= part_.offset &&
         range_fits(offset - part_.offset, size, part_.size);
}

// A pin that was on its way to be the first use may come behind this.
void ClientFile::revoke(std::uint64_t offset, std::uint64_t size) {
  revoked_.store(true);
  Lock lock(mutex_);
  gone_ = !map();
  if (gone_) return;
  os::Mapping& mapping = view_->mapping;
  if (mapping.replace_with_zero_pages(offset, size)) return;
  // Pages larger than usual, or no mapping left to split into: then all of it goes at once. When even that is
  // refused, what the device still has in hand stays the client's own memory, which harms nobody else.
  [[maybe_unused]] const bool replaced = mapping.replace_with_zero_pages(0, mapping.size()).has_value();
}

}  // namespace umdev::iommu
