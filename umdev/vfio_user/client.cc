#include "umdev/vfio_user/client.h"

#include <algorithm>

#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {

Result<Client> Client::connect(const std::string& path, Duration timeout) {
  return Client(UMDEV_TRY(ClientChannel::connect(path, timeout)));
}

// --- Messages.

Result<std::uint16_t> Client::send(abi::VfioUserCommand command, ConstBytes head, ConstBytes data,
                                   std::span<const int> fds, std::uint32_t flags) {
  const std::uint16_t id = next_id_++;
  const abi::VfioUserHeader header = make_command(id, command, head.size() + data.size(), flags);
  buffer_.clear();
  for (const ConstBytes part : {bytes_of(header), head, data})
    buffer_.insert(buffer_.end(), part.begin(), part.end());
  UMDEV_TRY(channel_.send(buffer_, fds));
  return id;
}

Result<Message> Client::call(abi::VfioUserCommand command, ConstBytes head, ConstBytes data,
                             std::span<const int> fds) {
  const std::uint16_t id = UMDEV_TRY(send(command, head, data, fds, 0));
  for (;;) {
    Message message = UMDEV_TRY(channel_.receive());
    if (is_command(message.header)) {
      const abi::VfioUserHeader refusal = make_error_reply(message.header, ENOSYS);
      if (wants_reply(message.header)) UMDEV_TRY(channel_.send(bytes_of(refusal)));
      continue;
    }
    if (message.header.message_id != id || message.header.command != command)
      return fail(EPROTO, "a reply to something else");
    UMDEV_TRY(result_of(message.header));
    return message;
  }
}

template <typename T>
Result<T> Client::ask(abi::VfioUserCommand command, const T& request) {
  const Message reply = UMDEV_TRY(call(command, bytes_of(request)));
  const auto answer = load_struct<T>(reply.payload);
  if (!answer) return fail(EPROTO, "a reply shorter than its structure");
  return *answer;
}

// --- Commands.

Result<VersionMessage> Client::negotiate() {
  const Limits limits;
  const VersionMessage proposal{.major = abi::vfio_user_major,
                                .minor = abi::vfio_user_minor,
                                .capabilities = {.max_msg_fds = limits.fds_per_message,
                                                 .max_data_xfer_size = limits.data_transfer,
                                                 .write_multiple = true}};
  const Message reply = UMDEV_TRY(call(abi::vfio_user_version, encode_version(proposal)));
  return decode_version(reply.payload, limits);
}

Result<> Client::dma_map(std::uint64_t iova, std::uint64_t size, std::uint32_t flags, int fd,
                         std::uint64_t offset) {
  const abi::VfioUserDmaMap request{
      .argsz = sizeof request, .flags = flags, .offset = offset, .iova = iova, .size = size};
  const std::span<const int> fds(&fd, fd < 0 ? 0 : 1);
  UMDEV_TRY(call(abi::vfio_user_dma_map, bytes_of(request), {}, fds));
  return {};
}

Result<std::uint64_t> Client::dma_unmap(std::uint64_t iova, std::uint64_t size, std::uint32_t flags) {
  const abi::VfioUserDmaUnmap request{.argsz = sizeof request, .flags = flags, .iova = iova, .size = size};
  return UMDEV_TRY(ask(abi::vfio_user_dma_unmap, request)).size;
}

Result<abi::VfioUserDeviceInfo> Client::device_info() {
  const abi::VfioUserDeviceInfo request{.argsz = sizeof request, .flags = 0, .num_regions = 0, .num_irqs = 0};
  return ask(abi::vfio_user_device_get_info, request);
}

Result<ClientRegion> Client::region_info(std::uint32_t index) {
  abi::VfioUserRegionInfo request{};
  request.argsz = sizeof request;
  request.index = index;
  for (bool again = true;; again = false) {
    Message reply = UMDEV_TRY(call(abi::vfio_user_device_get_region_info, bytes_of(request)));
    const auto info = load_struct<abi::VfioUserRegionInfo>(reply.payload);
    if (!info || reply.fds.size() > 1) return fail(EPROTO, "a malformed REGION_INFO reply");
    if (again && info->argsz > request.argsz) {
      request.argsz = info->argsz;
      continue;
    }
    ClientRegion region{.info = *info, .capabilities = std::move(reply.payload), .fd = {}};
    region.capabilities.erase(region.capabilities.begin(), region.capabilities.begin() + sizeof *info);
    if (!reply.fds.empty()) region.fd = std::move(reply.fds[0]);
    return region;
  }
}

Result<abi::VfioUserIrqInfo> Client::irq_info(std::uint32_t index) {
  const abi::VfioUserIrqInfo request{.argsz = sizeof request, .flags = 0, .index = index, .count = 0};
  return ask(abi::vfio_user_device_get_irq_info, request);
}

Result<> Client::set_irqs(const ClientIrqs& irqs) {
  const abi::VfioUserIrqSet request{.argsz = static_cast<std::uint32_t>(sizeof request + irqs.bools.size()),
                                    .flags = irqs.flags,
                                    .index = irqs.index,
                                    .start = irqs.start,
                                    .count = irqs.count};
  UMDEV_TRY(call(abi::vfio_user_device_set_irqs, bytes_of(request), irqs.bools, irqs.eventfds));
  return {};
}

Result<std::size_t> Client::region_read(std::uint32_t region, std::uint64_t offset, Bytes into) {
  const abi::VfioUserRegionAccess request{
      .offset = offset, .region = region, .count = static_cast<std::uint32_t>(into.size())};
  const Message reply = UMDEV_TRY(call(abi::vfio_user_region_read, bytes_of(request)));
  const auto answer = load_struct<abi::VfioUserRegionAccess>(reply.payload);
  if (!answer || answer->count > into.size() || reply.payload.size() != sizeof *answer + answer->count)
    return fail(EPROTO, "a malformed REGION_READ reply");
  std::copy_n(reply.payload.begin() + sizeof *answer, answer->count, into.begin());
  return answer->count;
}

Result<std::size_t> Client::region_write(std::uint32_t region, std::uint64_t offset, ConstBytes from) {
  const abi::VfioUserRegionAccess request{
      .offset = offset, .region = region, .count = static_cast<std::uint32_t>(from.size())};
  const Message reply = UMDEV_TRY(call(abi::vfio_user_region_write, bytes_of(request), from));
  const auto answer = load_struct<abi::VfioUserRegionAccess>(reply.payload);
  if (!answer || answer->count > from.size()) return fail(EPROTO, "a malformed REGION_WRITE reply");
  return answer->count;
}

Result<> Client::region_write_posted(std::uint32_t region, std::uint64_t offset, ConstBytes from) {
  const abi::VfioUserRegionAccess request{
      .offset = offset, .region = region, .count = static_cast<std::uint32_t>(from.size())};
  UMDEV_TRY(send(abi::vfio_user_region_write, bytes_of(request), from, {}, abi::vfio_user_flags_no_reply));
  return {};
}

Result<> Client::reset() {
  UMDEV_TRY(call(abi::vfio_user_device_reset, {}));
  return {};
}

}  // namespace umdev::vfio_user
