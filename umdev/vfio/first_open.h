// What the first open of a device and its last close are made of, in the kernel's order
// (vfio_df_device_first_open(), vfio_df_device_last_close()).
#pragma once

#include <memory>

#include "umdev/support/done.h"

namespace umdev::vfio {

class DeviceUser;

// On the device set's queue. Open: bound to the user's iommufd where it has one, open_device, attached where
// its group brought it there; after an error what was done is undone, and the error is the first one's.
// Close: close_device, unbound; succeeds.
void first_open(std::shared_ptr<DeviceUser> user, Done<> done);
void last_close(std::shared_ptr<DeviceUser> user, Done<> done);

}  // namespace umdev::vfio
