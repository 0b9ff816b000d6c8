#include "umdev/iommu/client_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "umdev/os/system_error.h"

namespace umdev::iommu {
namespace {

// Only memory files (memfd, tmpfs, hugetlbfs) have seals. Asking stays inside the kernel, whatever the
// descriptor is, which fstatfs() does not: a FUSE server may answer that one never.
bool is_memory_file(int fd) {
  return ::fcntl(fd, F_GET_SEALS) != -1;
}

}  // namespace

Result<ClientFileStatus> look_at_client_file(int fd, bool writable) {
  struct statx status{};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) != 0)
    return os::fail_errno("cannot look at the client's file");
  if (!S_ISREG(status.stx_mode)) return fail(ENODEV, "the client's file is not a regular one");
  // A file system without a block device below it may be FUSE or a network's.
  if (!is_memory_file(fd) && status.stx_dev_major == 0)
    return fail(EOPNOTSUPP, "the pages of the client's file may be served by somebody else");
  return ClientFileStatus{.identity = {.device = makedev(status.stx_dev_major, status.stx_dev_minor),
                                       .inode = status.stx_ino,
                                       .writable = writable},
                          .size = status.stx_size};
}

Result<std::shared_ptr<ClientFile>> ClientFile::map(os::UniqueFd fd, std::uint64_t offset, std::uint64_t size,
                                                    bool writable, std::shared_ptr<MappingBudget> budget) {
  UMDEV_TRY(budget->charge(size));
  const auto give_back = [&](const Error& error) -> std::unexpected<Error> {
    budget->refund(size);
    return std::unexpected(error);
  };
  const auto protection = writable ? os::Protection::read_write : os::Protection::read;
  auto mapping = os::Mapping::of_fd(fd.get(), offset, size, protection);
  if (!mapping) return give_back(mapping.error());
  auto guard = os::FaultGuard::protect(*mapping);
  if (!guard) return give_back(guard.error());
  return std::shared_ptr<ClientFile>(
      new ClientFile(std::move(fd), offset, std::move(*mapping), std::move(*guard), std::move(budget)));
}

ClientFile::ClientFile(os::UniqueFd fd, std::uint64_t offset, os::Mapping mapping,
                       os::FaultGuard::Registration guard, std::shared_ptr<MappingBudget> budget)
    : fd_(std::move(fd)),
      offset_(offset),
      mapping_(std::move(mapping)),
      guard_(std::move(guard)),
      budget_(std::move(budget)) {}

ClientFile::~ClientFile() {
  budget_->refund(mapping_.size());
}

bool ClientFile::serves(std::uint64_t offset, std::uint64_t size) const {
  return !revoked_.load() && intact() && offset >= offset_ &&
         range_fits(offset - offset_, size, mapping_.size());
}

void ClientFile::revoke(std::uint64_t offset, std::uint64_t size) {
  revoked_.store(true);
  if (mapping_.replace_with_zero_pages(offset, size)) return;
  // Pages larger than usual, or no mapping left to split into: then all of it goes at once. When even that is
  // refused, what the device still has in hand stays the client's own memory, which harms nobody else.
  [[maybe_unused]] const bool replaced = mapping_.replace_with_zero_pages(0, mapping_.size()).has_value();
}

}  // namespace umdev::iommu
