// Memory that has a descriptor: device memory, and what in-process clients share.
#pragma once

#include <cstdint>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

enum class MemfdSize : std::uint8_t {
  // Sealed: whoever is handed the descriptor can neither shrink nor grow it, so that no mapping of it can
  // fault.
  fixed,
  // Anyone who holds the descriptor may resize it.
  changeable,
};

// A close-on-exec memfd of `size` zero bytes. `name` is for people (/proc/PID/fd); at most 249 bytes, EINVAL
// beyond. EFBIG for a size that no file can have; EMFILE at the descriptor limit.
Result<UniqueFd> create_memfd(const char* name, std::uint64_t size, MemfdSize kind = MemfdSize::fixed);

// The size in bytes of the file behind a descriptor; EBADF.
Result<std::uint64_t> file_size(int fd);

}  // namespace umdev::os
