// Each command, and what its reply must be.
#include "umdev/vfio_user/client.h"

#include <algorithm>
#include <cstring>

#include "umdev/abi/migration.h"
#include "umdev/vfio_user/client_state.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {

template <typename T>
Result<T> Client::ask(abi::VfioUserCommand command, const T& request) {
  const Message reply = UMDEV_TRY(call(command, bytes_of(request)));
  const auto answer = load_struct<T>(reply.payload);
  if (!answer) return fail(EPROTO, "a reply shorter than its structure");
  return *answer;
}

// --- Commands.

Capabilities Client::usual_offer() {
  const Limits limits;
  return {.max_msg_fds = limits.fds_per_message,
          .max_data_xfer_size = limits.data_transfer,
          .max_dma_maps = limits.dma_maps,
          .write_multiple = true,
          .migration = true};
}

Result<VersionMessage> Client::negotiate(const Capabilities& offer) {
  const VersionMessage proposal{
      .major = abi::vfio_user_major, .minor = abi::vfio_user_minor, .capabilities = offer};
  Message reply = UMDEV_TRY(call(abi::vfio_user_version, encode_version(proposal)));
  const VersionMessage answer = UMDEV_TRY(decode_version(reply.payload, Limits{}));
  const Capabilities& server = answer.capabilities;
  state_->dma.set_message_data(std::min(offer.max_data_xfer_size, server.max_data_xfer_size));
  const std::size_t twins = server.twin_socket ? 1 : 0;
  if (reply.fds.size() != twins || (server.twin_socket && !offer.twin_socket) ||
      (twins != 0 && server.twin_fd_index != 0)) {
    state_->channel.close();
    return fail(EPROTO, "a VERSION reply whose twin socket is not what it says");
  }
  if (twins != 0) state_->twin = std::make_unique<ClientStream>(std::move(reply.fds[0]));
  return answer;
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
  const std::uint64_t unmapped = UMDEV_TRY(ask(abi::vfio_user_dma_unmap, request)).size;
  const bool all = (flags & abi::vfio_dma_unmap_flag_all) != 0;
  state_->forget(all ? 0 : iova, all ? UINT64_MAX : size);
  return unmapped;
}

Result<std::vector<std::uint64_t>> Client::dma_unmap_dirty(std::uint64_t iova, std::uint64_t size,
                                                           std::uint64_t page_size) {
  if (page_size == 0) return fail(EINVAL, "a page has no bytes");
  const std::uint64_t pages = size / page_size + (size % page_size != 0 ? 1 : 0);
  std::vector<std::uint64_t> bitmap(pages / 64 + (pages % 64 != 0 ? 1 : 0));
  const abi::VfioUserBitmap want{.page_size = page_size, .size = bitmap.size() * sizeof(std::uint64_t)};
  const abi::VfioUserDmaUnmap request{
      .argsz = static_cast<std::uint32_t>(sizeof request + sizeof want + want.size),
      .flags = abi::vfio_dma_unmap_flag_get_dirty_bitmap,
      .iova = iova,
      .size = size};
  const Message reply = UMDEV_TRY(call(abi::vfio_user_dma_unmap, bytes_of(request), bytes_of(want)));
  const std::size_t head = sizeof request + sizeof want;
  if (reply.payload.size() != head + want.size) return fail(EPROTO, "a malformed DMA_UNMAP reply");
  std::memcpy(bitmap.data(), reply.payload.data() + head, want.size);
  state_->forget(iova, size);
  return bitmap;
}

Result<> Client::lend(std::uint64_t iova, Bytes memory, std::uint32_t flags) {
  UMDEV_TRY(dma_map(iova, memory.size(), flags));
  state_->dma.lend(iova, memory, (flags & abi::vfio_dma_map_flag_read) != 0,
                   (flags & abi::vfio_dma_map_flag_write) != 0);
  return {};
}

Result<> Client::take_back(std::uint64_t iova, std::uint64_t size) {
  const Result<std::uint64_t> unmapped = dma_unmap(iova, size);
  // Also when the server did not obey: the memory is the caller's.
  state_->forget(iova, size);
  UMDEV_TRY(Result<std::uint64_t>(unmapped));
  return {};
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

Result<ClientIoFds> Client::region_io_fds(std::uint32_t index) {
  abi::VfioUserRegionIoFds request{.argsz = 4096, .flags = 0, .index = index, .count = 0};
  for (bool again = true;; again = false) {
    Message reply = UMDEV_TRY(call(abi::vfio_user_device_get_region_io_fds, bytes_of(request)));
    const auto head = load_struct<abi::VfioUserRegionIoFds>(reply.payload);
    if (!head) return fail(EPROTO, "a malformed REGION_IO_FDS reply");
    if (again && head->argsz > request.argsz) {
      request.argsz = head->argsz;
      continue;
    }
    const ConstBytes entries = ConstBytes(reply.payload).subspan(sizeof *head);
    ClientIoFds result{.entries = {}, .fds = std::move(reply.fds)};
    if (head->count == 0) return result;
    const std::size_t stride = entries.size() / head->count;
    if ((stride != sizeof(abi::VfioUserIoFd) && stride != sizeof(abi::VfioUserShadowIoFd)) ||
        entries.size() != head->count * stride)
      return fail(EPROTO, "a malformed REGION_IO_FDS reply");
    for (std::size_t at = 0; at < entries.size(); at += stride) {
      auto entry = *load_struct<abi::VfioUserIoFd>(entries, at);
      if (stride != sizeof entry)
        entry.datamatch = load_struct<abi::VfioUserShadowIoFd>(entries, at)->datamatch;
      if (entry.fd_index >= result.fds.size()) return fail(EPROTO, "an entry without its descriptor");
      result.entries.push_back(entry);
    }
    return result;
  }
}

Result<ConstBytes> Client::read_data(const Message& reply) {
  const auto answer = load_struct<abi::VfioUserRegionAccess>(reply.payload);
  if (reply.header.command != abi::vfio_user_region_read || !answer ||
      reply.payload.size() != sizeof *answer + answer->count)
    return fail(EPROTO, "a malformed REGION_READ reply");
  return ConstBytes(reply.payload).subspan(sizeof *answer);
}

Result<Ticket> Client::submit_read(std::uint32_t region, std::uint64_t offset, std::uint32_t size) {
  const abi::VfioUserRegionAccess request{.offset = offset, .region = region, .count = size};
  return submit(abi::vfio_user_region_read, bytes_of(request));
}

Result<Ticket> Client::submit_write(std::uint32_t region, std::uint64_t offset, ConstBytes from) {
  const abi::VfioUserRegionAccess request{
      .offset = offset, .region = region, .count = static_cast<std::uint32_t>(from.size())};
  return submit(abi::vfio_user_region_write, bytes_of(request), from);
}

Result<std::size_t> Client::region_read(std::uint32_t region, std::uint64_t offset, Bytes into) {
  const abi::VfioUserRegionAccess request{
      .offset = offset, .region = region, .count = static_cast<std::uint32_t>(into.size())};
  const Message reply = UMDEV_TRY(call(abi::vfio_user_region_read, bytes_of(request)));
  const ConstBytes data = UMDEV_TRY(read_data(reply));
  if (data.size() > into.size()) return fail(EPROTO, "more bytes than were asked for");
  std::ranges::copy(data, into.begin());
  return data.size();
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
  return post(abi::vfio_user_region_write, bytes_of(request), from);
}

Result<std::uint64_t> Client::region_write_multi(std::span<const abi::VfioUserWriteEntry> writes) {
  const abi::VfioUserWriteMulti request{.count = writes.size()};
  const Message reply =
      UMDEV_TRY(call(abi::vfio_user_region_write_multi, bytes_of(request), std::as_bytes(writes)));
  const auto answer = load_struct<abi::VfioUserWriteMulti>(reply.payload);
  if (!answer || answer->count > writes.size()) return fail(EPROTO, "a malformed REGION_WRITE_MULTI reply");
  return answer->count;
}

Result<> Client::region_write_multi_posted(std::span<const abi::VfioUserWriteEntry> writes) {
  const abi::VfioUserWriteMulti request{.count = writes.size()};
  return post(abi::vfio_user_region_write_multi, bytes_of(request), std::as_bytes(writes));
}

Result<> Client::reset() {
  UMDEV_TRY(call(abi::vfio_user_device_reset, {}));
  return {};
}

// --- Features and migration.

Result<std::vector<std::byte>> Client::device_feature(std::uint32_t flags, ConstBytes data,
                                                      std::uint32_t room) {
  const std::size_t size = std::max<std::size_t>(room, data.size());
  const abi::VfioUserFeature request{.argsz = static_cast<std::uint32_t>(sizeof request + size),
                                     .flags = flags};
  Message reply = UMDEV_TRY(call(abi::vfio_user_device_feature, bytes_of(request), data));
  if (reply.payload.size() < sizeof request) return fail(EPROTO, "a malformed DEVICE_FEATURE reply");
  reply.payload.erase(reply.payload.begin(), reply.payload.begin() + sizeof request);
  return std::move(reply.payload);
}

Result<std::uint32_t> Client::migration_state() {
  const auto answer =
      UMDEV_TRY(device_feature(abi::vfio_device_feature_get | abi::vfio_device_feature_mig_device_state));
  const auto state = load_struct<abi::VfioDeviceFeatureMigState>(answer);
  if (!state) return fail(EPROTO, "a malformed DEVICE_FEATURE reply");
  return state->device_state;
}

Result<> Client::set_migration_state(std::uint32_t state) {
  const abi::VfioDeviceFeatureMigState wanted{.device_state = state, .data_fd = -1};
  UMDEV_TRY(device_feature(abi::vfio_device_feature_set | abi::vfio_device_feature_mig_device_state,
                           bytes_of(wanted)));
  return {};
}

Result<std::vector<std::byte>> Client::mig_data_read(std::uint32_t size) {
  const abi::VfioUserMigData request{.argsz = static_cast<std::uint32_t>(sizeof request + size),
                                     .size = size};
  Message reply = UMDEV_TRY(call(abi::vfio_user_mig_data_read, bytes_of(request)));
  const auto head = load_struct<abi::VfioUserMigData>(reply.payload);
  // libvfio-user sends as much as was asked for, however much of it counts.
  if (!head || head->size > size || reply.payload.size() < sizeof *head + head->size)
    return fail(EPROTO, "a malformed MIG_DATA_READ reply");
  reply.payload.erase(reply.payload.begin(), reply.payload.begin() + sizeof *head);
  reply.payload.resize(head->size);
  return std::move(reply.payload);
}

Result<> Client::mig_data_write(ConstBytes data) {
  const abi::VfioUserMigData request{.argsz = static_cast<std::uint32_t>(sizeof request + data.size()),
                                     .size = static_cast<std::uint32_t>(data.size())};
  UMDEV_TRY(call(abi::vfio_user_mig_data_write, bytes_of(request), data));
  return {};
}

}  // namespace umdev::vfio_user
