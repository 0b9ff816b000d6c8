// VFIO_DEVICE_SET_IRQS as a value: checked once by the core, then handed to the device.
#pragma once

#include <cstdint>
#include <span>

#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::vfio {

// VFIO_DEVICE_GET_IRQ_INFO: flags are abi::vfio_irq_info_*.
struct IrqInfo {
  std::uint32_t flags = 0;
  std::uint32_t count = 0;
};

// `flags` are abi::vfio_irq_set_*. Of the data, only what the flags name is used: `bools` has one byte a
// vector (DATA_BOOL); `eventfds` one descriptor a vector, an empty one standing for the UAPI's -1
// (DATA_EVENTFD). The receiver may take the descriptors; what it leaves is closed by the caller.
struct IrqRequest {
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t start = 0;
  std::uint32_t count = 0;
  ConstBytes bools;
  std::span<os::UniqueFd> eventfds;
  // Not 0: one of the descriptors could not be had, and why. The request fails as for a bad descriptor.
  int eventfd_error = 0;

  std::uint32_t data_type() const;
  std::uint32_t action() const;
};

// The checks of the kernel's vfio_set_irqs_validate_and_prepare(), made for every device before its driver
// sees the request: index, flags, range without overflow, exactly one data type, enough data. `info` is
// nothing for an index that the device does not have. EINVAL. (Which action an index takes is checked by its
// IrqSet.)
Result<> validate_irq_request(const IrqRequest& request, std::uint32_t num_irqs, const IrqInfo& info);

}  // namespace umdev::vfio
