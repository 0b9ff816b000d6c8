// DEVICE_GET_REGION_IO_FDS: eventfds that a client signals in place of a write.
#include <algorithm>

#include "umdev/os/unique_fd.h"
#include "umdev/vfio_user/quirks.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

// Entries may share a descriptor. Those for whose descriptor there is no place any more are left out: a
// client that does not know of an eventfd writes.
Result<> Session::region_io_fds(const Frame& frame) {
  abi::VfioUserRegionIoFds answer = UMDEV_TRY(decode_region_io_fds(frame.payload));
  const auto events = UMDEV_TRY(device_->io_event_fds(answer.index));
  const std::size_t fds_max = std::min(fds_max_, world_.limits->fds_per_message);
  std::vector<int> numbers;
  std::vector<abi::VfioUserIoFd> entries;
  static_assert(quirks::io_fd_entries_are_the_specifications);
  for (const vfio::IoEventFd& event : events) {
    const auto known = std::ranges::find(numbers, event.fd);
    const auto index = static_cast<std::uint32_t>(known - numbers.begin());
    if (known == numbers.end() && numbers.size() >= fds_max) continue;
    if (known == numbers.end()) numbers.push_back(event.fd);
    entries.push_back({.offset = event.offset,
                       .size = event.size,
                       .fd_index = index,
                       .type = abi::vfio_user_io_fd_type_event,
                       .flags = event.datamatch ? abi::vfio_user_io_event_fd_flag_datamatch : 0,
                       .padding = 0,
                       .datamatch = event.datamatch.value_or(0)});
  }
  const auto data = std::as_bytes(std::span(entries));
  if (data.size() > agreed_.max_data_xfer_size) return fail(E2BIG, "more eventfds than one reply takes");
  const std::uint32_t room = answer.argsz;
  answer.argsz = static_cast<std::uint32_t>(sizeof answer + data.size());
  answer.count = static_cast<std::uint32_t>(entries.size());
  if (room < answer.argsz) {
    reply(bytes_of(answer));
    return {};
  }
  std::vector<os::UniqueFd> fds;
  for (const int fd : numbers) fds.push_back(UMDEV_TRY(os::duplicate(fd)));
  shares_device_ |= !fds.empty();
  reply(bytes_of(answer), data, std::move(fds));
  return {};
}

}  // namespace umdev::vfio_user
