#include "umdev/os/mapping.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/support/assert.h"

namespace umdev::os {

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

int to_mmap_protection(Protection protection) {
  switch (protection) {
    case Protection::none:
      return PROT_NONE;
    case Protection::read:
      return PROT_READ;
    case Protection::read_write:
      return PROT_READ | PROT_WRITE;
  }
  return PROT_NONE;
}

namespace {

// A mapping of a file on hugetlbfs consists of that file's pages, and the kernel refuses to cut them.
Result<std::size_t> page_bytes_of(int fd) {
  struct statfs status{};
  if (::fstatfs(fd, &status) != 0) return fail_errno("not a file");
  return status.f_type == HUGETLBFS_MAGIC ? static_cast<std::size_t>(status.f_bsize) : page_size();
}

}  // namespace

struct Mapping::Request {
  int fd;
  std::uint64_t offset;
  std::size_t length;
  std::size_t page_bytes;
  Protection protection;
  int flags;
};

Result<Mapping> Mapping::of_fd(int fd, std::uint64_t offset, std::size_t length, Protection protection) {
  const std::size_t page_bytes = UMDEV_TRY(page_bytes_of(fd));
  if (offset % page_bytes != 0) return fail(EINVAL, "the offset is no multiple of the page size");
  constexpr auto end_of_files = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (!range_fits(offset, length, end_of_files)) return fail(EINVAL, "the range wraps");
  return map({fd, offset, length, page_bytes, protection, MAP_SHARED});
}

Result<Mapping> Mapping::anonymous(std::size_t length, Protection protection) {
  return map({-1, 0, length, page_size(), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE});
}

Result<Mapping> Mapping::map(const Request& request) {
  if (request.length == 0) return fail(EINVAL, "nothing to map");
  void* address = ::mmap(nullptr, request.length, to_mmap_protection(request.protection), request.flags,
                         request.fd, static_cast<off_t>(request.offset));
  if (address == MAP_FAILED) return fail_errno("mmap failed");
  Mapping mapping;
  mapping.data_ = static_cast<std::byte*>(address);
  mapping.size_ = request.length;
  mapping.page_bytes_ = request.page_bytes;
  mapping.protection_ = request.protection;
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept {
  *this = std::move(other);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    page_bytes_ = other.page_bytes_;
    protection_ = std::exchange(other.protection_, Protection::none);
  }
  return *this;
}

ConstBytes Mapping::bytes() const {
  UMDEV_ASSERT(protection_ != Protection::none || size_ == 0, "the mapping may not be read");
  return {data_, size_};
}

Bytes Mapping::writable_bytes() const {
  UMDEV_ASSERT(protection_ == Protection::read_write || size_ == 0, "the mapping may not be written");
  return {data_, size_};
}

Result<> Mapping::replace_with_zero_pages(std::size_t offset, std::size_t length) {
  if (length == 0 || !range_fits(offset, length, size_)) return fail(EINVAL, "outside the mapping");
  const std::size_t end = offset + length == size_ ? mapped_size() : offset + length;
  if (offset % page_bytes_ != 0 || end % page_bytes_ != 0) return fail(EINVAL, "not whole pages");
  return put_zero_pages_over(data_ + offset, end - offset, to_mmap_protection(protection_));
}

Result<> put_zero_pages_over(std::byte* address, std::size_t length, int protection) {
  // Past the C library, since ThreadSanitizer takes its mmap() for a write by this thread, which the users of
  // the pages would race with. There is no such race: the kernel exchanges the pages at once.
  if (::syscall(SYS_mmap, address, length, protection,
                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == -1)
    return fail_errno("mmap failed");
  return {};
}

void Mapping::reset() {
  if (data_ == nullptr) return;
  if (::munmap(data_, mapped_size()) != 0) {
    // The kernel may have joined this memory with its neighbours, and then unmapping splits them again, which
    // fails when the process has too many mappings. A client can bring us there, so it is no assertion: the
    // address is lost, the memory is not.
    UMDEV_ASSERT(errno == ENOMEM, "munmap refused a mapping that we own");
    ::madvise(data_, size_, MADV_DONTNEED);
  }
  data_ = nullptr;
  size_ = 0;
  protection_ = Protection::none;
}

}  // namespace umdev::os
