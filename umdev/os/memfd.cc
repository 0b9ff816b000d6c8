#include "umdev/os/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits>

#include "umdev/os/system_error.h"

namespace umdev::os {

Result<UniqueFd> create_memfd(const char* name, std::uint64_t size, MemfdSize kind) {
  if (size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
    return fail(EFBIG, "no file can have this size");
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create failed");
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return fail_errno("cannot size the memfd");
  if (kind == MemfdSize::fixed &&
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno("cannot seal the memfd");
  return fd;
}

Result<std::uint64_t> file_size(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail_errno("fstat failed");
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace umdev::os
