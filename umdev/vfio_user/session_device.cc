// The commands that are the device file's.
#include <algorithm>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/client_memory.h"
#include "umdev/os/unique_fd.h"
#include "umdev/vfio/region_memory.h"
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/quirks.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/wire_region.h"

namespace umdev::vfio_user {

Result<> Session::get_info(const Frame& frame) {
  abi::VfioUserDeviceInfo info = UMDEV_TRY(decode_device_info(frame.payload));
  const vfio::DeviceInfo device = UMDEV_TRY(device_->info());
  info.argsz = sizeof info;
  info.flags = device.flags;
  if (!quirks::device_info_has_capabilities) info.flags &= ~abi::vfio_device_flags_caps;
  info.num_regions = device.num_regions;
  info.num_irqs = device.num_irqs;
  reply(bytes_of(info));
  return {};
}

Result<> Session::region_info(const Frame& frame) {
  const abi::VfioUserRegionInfo asked = UMDEV_TRY(decode_region_info(frame.payload));
  const vfio::RegionInfo region = UMDEV_TRY(device_->region_info(asked.index));
  const auto extents = vfio::memory_of_region(*device_, asked.index, region);
  const WireRegion wire = make_wire_region(asked.index, region, extents);
  const RegionReply answer = fit_region_reply(wire, asked.argsz);
  std::vector<os::UniqueFd> fds;
  if (answer.with_fd && fds_max_ > 0) fds.push_back(UMDEV_TRY(os::duplicate(wire.fd)));
  shares_device_ |= !fds.empty();
  reply(bytes_of(answer.info), answer.capabilities, std::move(fds));
  return {};
}

Result<> Session::irq_info(const Frame& frame) {
  abi::VfioUserIrqInfo info = UMDEV_TRY(decode_irq_info(frame.payload));
  const vfio::IrqInfo irq = UMDEV_TRY(device_->irq_info(info.index));
  info.argsz = sizeof info;
  info.flags = irq.flags;
  info.count = irq.count;
  reply(bytes_of(info));
  return {};
}

Result<> Session::set_irqs(const Frame& frame) {
  const IrqSetMessage message = UMDEV_TRY(decode_irq_set(frame.payload));
  const abi::VfioUserIrqSet& asked = message.fixed;
  const bool eventfds = (asked.flags & abi::vfio_irq_set_data_eventfd) != 0;
  const std::size_t given = frame.fds->size();
  if (given != 0 && (!eventfds || given != asked.count))
    return fail(EINVAL, "not one descriptor for each vector");

  std::vector<os::UniqueFd> descriptors;
  if (eventfds) {
    // Bounds what is allocated next; the core checks all of it again.
    const vfio::IrqInfo irq = UMDEV_TRY(device_->irq_info(asked.index));
    if (asked.count > irq.count) return fail(EINVAL, "the interrupt index has fewer vectors");
    static_assert(quirks::no_descriptors_mean_minus_one);
    descriptors.resize(asked.count);
    for (std::size_t i = 0; i < given; ++i) descriptors[i] = frame.fds->take(i);
  }
  vfio::IrqRequest request{.flags = asked.flags,
                           .index = asked.index,
                           .start = asked.start,
                           .count = asked.count,
                           .bools = message.bools,
                           .eventfds = descriptors};
  UMDEV_TRY(device_->set_irqs(request));
  reply({});
  return {};
}

// --- Accesses. The data lie in the operation's buffer, which a driver may have for longer than the session
// waits for it: so the operation is the access's owner.

Result<> Session::region_read(const Frame& frame) {
  access_ = UMDEV_TRY(decode_region_read(frame.payload, agreed_.max_data_xfer_size));
  const Bytes data = start(Pending::read).buffer(access_.count);
  device_->read(access_.region, access_.offset, data, *operation_);
  if (call_returned()) finish_operation();
  return {};
}

Result<> Session::region_write(const Frame& frame) {
  const auto [access, data] = UMDEV_TRY(decode_region_write(frame.payload, agreed_.max_data_xfer_size));
  access_ = access;
  const Bytes copy = start(Pending::write).buffer(data.size());
  std::ranges::copy(data, copy.begin());
  device_->write(access_.region, access_.offset, copy, *operation_);
  if (call_returned()) finish_operation();
  return {};
}

void Session::accessed(std::uint64_t bytes) {
  const bool is_read = request_.command == abi::vfio_user_region_read;
  access_.count = static_cast<std::uint32_t>(bytes);
  reply(bytes_of(access_), is_read ? operation_->data(bytes) : ConstBytes{});
}

Result<> Session::reset() {
  start(Pending::reset);
  device_->reset([operation = operation_](Result<> result) {
    operation->complete(result ? Result<std::uint64_t>(0) : std::unexpected(result.error()));
  });
  if (call_returned()) finish_operation();
  return {};
}

}  // namespace umdev::vfio_user
