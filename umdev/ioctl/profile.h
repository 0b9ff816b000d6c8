// Which kernel's answers a caller gets. Where two kernels differ is one table (profile.cc).
#pragma once

#include <cstdint>

#include "umdev/support/error.h"

namespace umdev::ioctl {

// Linux 7.2 is what everything here is written to; 6.1 is Debian 12's.
enum class Profile : std::uint8_t { linux_6_1, linux_7_2 };

}  // namespace umdev::ioctl
