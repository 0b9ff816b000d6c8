// The string of VFIO_GROUP_GET_DEVICE_FD.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "umdev/ioctl/caller.h"
#include "umdev/support/uuid.h"
#include "umdev/vfio/group.h"

namespace umdev::ioctl {

struct DeviceName {
  std::string_view name;
  std::optional<Uuid> token;
};

// A string of the caller's, of less than a page. EFAULT; EINVAL a longer one.
Result<std::string> read_device_name(Caller& caller, UserAddress address);

// Behind the name of a device of vfio-pci there may stand options, with spaces between: only "vf_token=UUID"
// is one. EINVAL for another, a second one, or a UUID that is none, if the group has a device of the name;
// what belongs to no such device is a name as it stands. Refers to `text`.
Result<DeviceName> parse_device_name(const vfio::GroupFile& group, std::string_view text);

}  // namespace umdev::ioctl
