// Devices that are reset together (VFIO_DEVICE_PCI_HOT_RESET).
#pragma once

#include <vector>

#include "umdev/support/done.h"
#include "umdev/support/inline_function.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// Nobody opens, closes or resets one of the devices from before `may` is asked until the last reset has
// completed. `may` says whether its caller may do that to all of them: an error of it is the answer, and
// nothing has happened. A device that nobody has open is at power-on already. Completes with the first error
// of a reset; the others are made all the same. Any thread.
void hot_reset(std::vector<DeviceRef> devices, InlineFunction<Result<>(), 96> may, Done<> done);

}  // namespace umdev::vfio
