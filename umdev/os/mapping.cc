#include "umdev/os/mapping.h"

#include <sys/mman.h>
#include <sys/syscall.h>
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

Result<Mapping> Mapping::of_fd(int fd, std::uint64_t offset, std::size_t length, Protection protection) {
  if (offset % page_size() != 0) return fail(EINVAL, "the offset is no multiple of the page size");
  constexpr auto end_of_files = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (!range_fits(offset, length, end_of_files)) return fail(EINVAL, "the range wraps");
  return map(fd, offset, length, protection, MAP_SHARED);
}

Result<Mapping> Mapping::anonymous(std::size_t length, Protection protection) {
  return map(-1, 0, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

Result<Mapping> Mapping::map(int fd, std::uint64_t offset, std::size_t length, Protection protection,
                             int flags) {
  if (length == 0) return fail(EINVAL, "nothing to map");
  void* address =
      ::mmap(nullptr, length, to_mmap_protection(protection), flags, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) return fail_errno("mmap failed");
  return Mapping(static_cast<std::byte*>(address), length, protection);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      protection_(std::exchange(other.protection_, Protection::none)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
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
  const bool whole_pages = length % page_size() == 0 || offset + length == size_;
  if (offset % page_size() != 0 || !whole_pages) return fail(EINVAL, "not whole pages");
  return put_zero_pages_over(data_ + offset, length, to_mmap_protection(protection_));
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
  if (::munmap(data_, size_) != 0) {
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
