#include "umdev/os/process_limits.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "umdev/os/system_error.h"
#include "umdev/os/unique_fd.h"

namespace umdev::os {

Result<std::uint64_t> raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("getrlimit failed");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("setrlimit failed");
  return limit.rlim_cur;
}

std::uint64_t mapping_limit() {
  std::uint64_t limit = 65530;
  const UniqueFd file(::open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC));
  std::array<char, 24> text{};
  const ssize_t length = retry_interrupted([&] { return ::read(file.get(), text.data(), text.size()); });
  if (length > 0) std::from_chars(text.data(), text.data() + length, limit);
  return limit;
}

}  // namespace umdev::os
