#include "umdev/vfio/irq_request.h"

#include <bit>

#include "umdev/abi/vfio.h"

namespace umdev::vfio {

std::uint32_t IrqRequest::data_type() const {
  return flags & abi::vfio_irq_set_data_type_mask;
}

std::uint32_t IrqRequest::action() const {
  return flags & abi::vfio_irq_set_action_type_mask;
}

Result<> validate_irq_request(const IrqRequest& request, std::uint32_t num_irqs, const IrqInfo& info) {
  constexpr std::uint32_t known_flags = abi::vfio_irq_set_data_type_mask | abi::vfio_irq_set_action_type_mask;
  if (request.index >= num_irqs) return fail(EINVAL, "the device has no such interrupt index");
  if (request.count >= UINT32_MAX - request.start) return fail(EINVAL, "start + count overflows");
  if ((request.flags & ~known_flags) != 0) return fail(EINVAL, "unknown flags in SET_IRQS");
  // A count of 0 means the whole index, but it too must start at a vector that there is: so it fails for an
  // index without vectors.
  if (request.start >= info.count || request.start + request.count > info.count)
    return fail(EINVAL, "the interrupt index has fewer vectors");
  if (!std::has_single_bit(request.data_type()))
    return fail(EINVAL, "SET_IRQS needs exactly one type of data");
  if (request.data_type() == abi::vfio_irq_set_data_bool && request.bools.size() < request.count)
    return fail(EINVAL, "fewer bytes than vectors");
  if (request.data_type() == abi::vfio_irq_set_data_eventfd && request.eventfds.size() < request.count)
    return fail(EINVAL, "fewer descriptors than vectors");
  return {};
}

}  // namespace umdev::vfio
