// Which kernel's answers a caller gets. Where two kernels differ is one table (profile.cc).
#pragma once

#include <cstdint>

#include "umdev/ioctl/file.h"
#include "umdev/support/error.h"

namespace umdev::ioctl {

// Everything here is written to Linux 7.2; 6.1 is Debian 12's.
enum class Profile : std::uint8_t { linux_6_1, linux_7_2 };

// Has this kernel such a thing at all?
bool has_iommufd(Profile profile);            // /dev/iommu, /dev/vfio/devices and their commands
bool has_precopy(Profile profile);            // VFIO_MIG_GET_PRECOPY_INFO
std::uint32_t last_feature(Profile profile);  // the highest id of VFIO_DEVICE_FEATURE that it knows

// The answer to a command of a kind of file as this kernel gives it.
Result<Answer> as_answered_by(Profile profile, FileKind kind, std::uint32_t command, Result<Answer> answer);

}  // namespace umdev::ioctl
