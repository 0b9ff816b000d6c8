#include "umdev/ioctl/device_commands.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"
#include "umdev/ioctl/world.h"
#include "umdev/vfio/region_memory.h"

namespace umdev::ioctl {

Result<> get_device_info(const vfio::DeviceFile& device, Caller& caller, UserAddress argument) {
  constexpr std::size_t minsz = offsetof(abi::VfioDeviceInfo, cap_offset);
  const auto asked = UMDEV_TRY(read_argsz<abi::VfioDeviceInfo>(caller, argument, minsz));
  const vfio::DeviceInfo info = UMDEV_TRY(device.info());
  const abi::VfioDeviceInfo answer{.argsz = asked.argsz,
                                   .flags = info.flags & ~abi::vfio_device_flags_caps,
                                   .num_regions = info.num_regions,
                                   .num_irqs = info.num_irqs,
                                   .cap_offset = 0,
                                   .pad = 0};
  return write_info(caller, argument, answer, info.capabilities, abi::vfio_device_flags_caps);
}

namespace {

// The kernel asks the driver, whatever the index is, and some know of a region that they do not count: the
// sample mdpy has 9, and its display's is 16. Who has none answers that it does not know the command.
Result<> get_uncounted_region_info(vfio::DeviceFile& device, Caller& caller, UserAddress argument) {
  const auto answer = other_command(device, abi::vfio_device_get_region_info, caller, argument);
  if (answer) return {};
  return answer.error().code == ENOTTY ? fail(EINVAL, "the device has no such region")
                                       : std::unexpected(answer.error());
}

}  // namespace

Result<> get_region_info(vfio::DeviceFile& device, Caller& caller, UserAddress argument) {
  const auto asked = UMDEV_TRY(read_argsz<abi::VfioRegionInfo>(caller, argument));
  const vfio::DeviceInfo info = UMDEV_TRY(device.info());
  if (asked.index >= info.num_regions) return get_uncounted_region_info(device, caller, argument);
  const vfio::RegionInfo region = UMDEV_TRY(vfio::region_with_memory(device, asked.index));
  const abi::VfioRegionInfo answer{.argsz = asked.argsz,
                                   .flags = region.flags & ~abi::vfio_region_info_flag_caps,
                                   .index = asked.index,
                                   .cap_offset = 0,
                                   .size = region.size,
                                   .offset = region.offset};
  return write_info(caller, argument, answer, region.capabilities, abi::vfio_region_info_flag_caps);
}

Result<> get_irq_info(const vfio::DeviceFile& device, Caller& caller, UserAddress argument) {
  auto answer = UMDEV_TRY(read_argsz<abi::VfioIrqInfo>(caller, argument));
  const vfio::IrqInfo irq = UMDEV_TRY(device.irq_info(answer.index));
  answer.flags = irq.flags;
  answer.count = irq.count;
  return write_value(caller, argument, answer);
}

// --- SET_IRQS

namespace {

// How many bytes of data there must be for each vector.
std::size_t data_size(std::uint32_t flags) {
  switch (flags & abi::vfio_irq_set_data_type_mask) {
    case abi::vfio_irq_set_data_bool:
      return sizeof(std::uint8_t);
    case abi::vfio_irq_set_data_eventfd:
      return sizeof(std::int32_t);
    default:
      return 0;
  }
}

// The descriptors of the request. One that cannot be had is an error of the request only when it gets that
// far.
Result<> take_eventfds(Caller& caller, ConstBytes data, bool is_notification, vfio::IrqRequest& request) {
  for (std::size_t i = 0; i < request.eventfds.size(); ++i) {
    const auto fd = static_cast<std::int32_t>(*load_le<std::uint32_t>(data, i * sizeof(std::int32_t)));
    if (fd < -1 && is_notification) return fail(EINVAL, "neither a descriptor nor -1");
    if (fd < 0) continue;
    auto taken = caller.take_fd(fd);
    if (taken)
      request.eventfds[i] = std::move(*taken);
    else if (request.eventfd_error == 0)
      request.eventfd_error = taken.error().code;
  }
  return {};
}

}  // namespace

// What is wrong with a request, the core says; here is only what gets its data, and bounds them. The kernel
// checks everything else before it looks at them.
Result<> set_irqs(vfio::DeviceFile& device, bool is_pci, Caller& caller, UserAddress argument) {
  const auto set = UMDEV_TRY(read_argsz<abi::VfioIrqSet>(caller, argument));
  vfio::IrqRequest request{
      .flags = set.flags, .index = set.index, .start = set.start, .count = set.count, .bools = {}};
  const auto irq = device.irq_info(set.index);
  const std::uint64_t size = data_size(set.flags) * std::uint64_t{set.count};
  if (size == 0 || !irq || set.count > irq->count || set.argsz - sizeof set < size)
    return device.set_irqs(request);

  std::vector<std::byte> data(size);
  std::vector<os::UniqueFd> eventfds;
  const bool has_eventfds = (set.flags & abi::vfio_irq_set_data_eventfd) != 0;
  if (has_eventfds) eventfds.resize(set.count);
  request.eventfds = eventfds;
  if (!has_eventfds) request.bools = data;
  if (const Result<> read = caller.read(argument + sizeof set, data); !read) {
    const std::uint32_t num_irqs = UMDEV_TRY(device.info()).num_irqs;
    UMDEV_TRY(vfio::validate_irq_request(request, num_irqs, *irq));
    return read;
  }
  const bool notifies = is_pci && set.index >= abi::vfio_pci_err_irq_index;
  UMDEV_TRY(take_eventfds(caller, data, notifies, request));
  return device.set_irqs(request);
}

void reset(const std::shared_ptr<vfio::DeviceFile>& device, Done<Answer> done) {
  auto kept = std::make_shared<Done<Answer>>(std::move(done));
  device->reset([kept](Result<> result) { (*kept)(success(result)); });
}

Result<Answer> other_command(vfio::DeviceFile& device, std::uint32_t command, Caller& caller,
                             UserAddress argument) {
  constexpr std::uint32_t size_max = iommu::page_size;
  std::vector<std::byte> bytes;
  // A command that nobody knows is ENOTTY whatever its argument is, so an argument that is none is let pass.
  if (const auto argsz = read_value<std::uint32_t>(caller, argument)) {
    bytes.resize(std::min(*argsz, size_max));
    if (!caller.read(argument, bytes)) bytes.clear();
  }
  const std::uint32_t value = UMDEV_TRY(device.ioctl({.command = command, .argument = bytes}));
  UMDEV_TRY(caller.write(argument, bytes));
  return Answer{.value = static_cast<std::int32_t>(value)};
}

}  // namespace umdev::ioctl
