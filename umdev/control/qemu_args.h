// How an unmodified QEMU is told to take an instance.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "umdev/control/doors.h"

namespace umdev::control {

// The longest path that QEMU connects to: sun_path less its terminating zero.
inline constexpr std::size_t qemu_path_max = 107;

// The arguments for vfio-user-pci, one a string as execve() takes them. Where QEMU could not use the path
// (too long, or no UTF-8, which its JSON wants) it is the short one. EOPNOTSUPP: `device_api` is not
// vfio-pci, or the instance has no socket; ENAMETOOLONG: no path works.
Result<std::vector<std::string>> qemu_arguments(std::string_view device_api, const SocketPaths& socket);

// One line that a POSIX shell reads as these words again.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace umdev::control
