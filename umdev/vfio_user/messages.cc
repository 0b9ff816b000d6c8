#include "umdev/vfio_user/messages.h"

#include <array>

#include "umdev/abi/vfio.h"

namespace umdev::vfio_user {
namespace {

constexpr std::array<std::string_view, command_count> command_names{
    "unknown",        "VERSION",  "DMA_MAP",     "DMA_UNMAP",          "GET_INFO",       "REGION_INFO",
    "REGION_IO_FDS",  "IRQ_INFO", "SET_IRQS",    "REGION_READ",        "REGION_WRITE",   "DMA_READ",
    "DMA_WRITE",      "RESET",    "DIRTY_PAGES", "REGION_WRITE_MULTI", "DEVICE_FEATURE", "MIG_DATA_READ",
    "MIG_DATA_WRITE",
};

// Errors of the kernel end here (MAX_ERRNO).
constexpr std::uint32_t errno_max = 4095;

template <typename T>
Result<T> decode_fixed(ConstBytes payload) {
  const auto fixed = load_struct<T>(payload);
  if (!fixed) return fail(EINVAL, "the payload is shorter than its structure");
  if (fixed->argsz < sizeof(T)) return fail(EINVAL, "argsz is shorter than the structure");
  return *fixed;
}

Result<abi::VfioUserRegionAccess> decode_region_access(ConstBytes payload, std::uint32_t count_max) {
  const auto access = load_struct<abi::VfioUserRegionAccess>(payload);
  if (!access) return fail(EINVAL, "the payload is shorter than its structure");
  if (access->count > count_max) return fail(E2BIG, "more data than was negotiated");
  return *access;
}

}  // namespace

std::string_view command_name(std::uint16_t command) {
  return command < command_names.size() ? command_names[command] : command_names[0];
}

Result<abi::VfioUserDmaMap> decode_dma_map(ConstBytes payload) {
  const auto map = UMDEV_TRY(decode_fixed<abi::VfioUserDmaMap>(payload));
  if ((map.flags & ~(abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write)) != 0)
    return fail(EINVAL, "unknown flags in DMA_MAP");
  return map;
}

Result<abi::VfioUserDmaUnmap> decode_dma_unmap(ConstBytes payload) {
  const auto unmap = UMDEV_TRY(decode_fixed<abi::VfioUserDmaUnmap>(payload));
  if ((unmap.flags & ~(abi::vfio_dma_unmap_flag_get_dirty_bitmap | abi::vfio_dma_unmap_flag_all)) != 0)
    return fail(EINVAL, "unknown flags in DMA_UNMAP");
  return unmap;
}

Result<abi::VfioUserBitmap> decode_unmap_bitmap(ConstBytes payload, std::uint64_t size_max) {
  const auto unmap = UMDEV_TRY(decode_dma_unmap(payload));
  const auto bitmap = load_struct<abi::VfioUserBitmap>(payload, sizeof unmap);
  if (!bitmap) return fail(EINVAL, "the payload is shorter than its structures");
  if ((unmap.flags & abi::vfio_dma_unmap_flag_all) != 0)
    return fail(EINVAL, "a bitmap is of a range, not of everything");
  if (bitmap->size > size_max) return fail(E2BIG, "a larger bitmap than was agreed on");
  if (unmap.argsz < sizeof unmap + sizeof *bitmap + bitmap->size)
    return fail(EINVAL, "argsz is shorter than the reply");
  return *bitmap;
}

Result<abi::VfioUserDeviceInfo> decode_device_info(ConstBytes payload) {
  return decode_fixed<abi::VfioUserDeviceInfo>(payload);
}

Result<abi::VfioUserRegionInfo> decode_region_info(ConstBytes payload) {
  return decode_fixed<abi::VfioUserRegionInfo>(payload);
}

Result<abi::VfioUserIrqInfo> decode_irq_info(ConstBytes payload) {
  return decode_fixed<abi::VfioUserIrqInfo>(payload);
}

Result<IrqSetMessage> decode_irq_set(ConstBytes payload) {
  const auto fixed = UMDEV_TRY(decode_fixed<abi::VfioUserIrqSet>(payload));
  return IrqSetMessage{.fixed = fixed, .bools = payload.subspan(sizeof fixed)};
}

Result<abi::VfioUserRegionAccess> decode_region_read(ConstBytes payload, std::uint32_t count_max) {
  return decode_region_access(payload, count_max);
}

Result<RegionWriteMessage> decode_region_write(ConstBytes payload, std::uint32_t count_max) {
  const auto fixed = UMDEV_TRY(decode_region_access(payload, count_max));
  const ConstBytes data = payload.subspan(sizeof fixed);
  if (data.size() != fixed.count) return fail(EINVAL, "the data are not as many as said");
  return RegionWriteMessage{.fixed = fixed, .data = data};
}

Result<abi::VfioUserRegionIoFds> decode_region_io_fds(ConstBytes payload) {
  const auto fixed = UMDEV_TRY(decode_fixed<abi::VfioUserRegionIoFds>(payload));
  if (fixed.flags != 0) return fail(EINVAL, "unknown flags in REGION_IO_FDS");
  return fixed;
}

Result<FeatureMessage> decode_feature(ConstBytes payload) {
  const auto fixed = UMDEV_TRY(decode_fixed<abi::VfioUserFeature>(payload));
  return FeatureMessage{.fixed = fixed, .data = payload.subspan(sizeof fixed)};
}

Result<abi::VfioUserMigData> decode_mig_data_read(ConstBytes payload, std::uint32_t size_max) {
  const auto fixed = UMDEV_TRY(decode_fixed<abi::VfioUserMigData>(payload));
  if (fixed.size > size_max) return fail(E2BIG, "more data than was negotiated");
  if (fixed.argsz - sizeof fixed < fixed.size) return fail(EINVAL, "argsz is shorter than the reply");
  return fixed;
}

Result<ConstBytes> decode_mig_data_write(ConstBytes payload, std::uint32_t size_max) {
  const auto fixed = UMDEV_TRY(decode_fixed<abi::VfioUserMigData>(payload));
  if (fixed.size > size_max) return fail(E2BIG, "more data than was negotiated");
  const ConstBytes data = payload.subspan(sizeof fixed);
  if (data.size() != fixed.size) return fail(EINVAL, "not as many bytes as the message says");
  return data;
}

Result<WriteMultiMessage> decode_write_multi(ConstBytes payload, std::uint32_t count_max) {
  const auto fixed = load_struct<abi::VfioUserWriteMulti>(payload);
  if (!fixed) return fail(EINVAL, "the payload is shorter than its structure");
  if (fixed->count > count_max) return fail(E2BIG, "more writes than one message takes");
  const ConstBytes entries = payload.subspan(sizeof *fixed);
  if (entries.size() != fixed->count * sizeof(abi::VfioUserWriteEntry))
    return fail(EINVAL, "not as many writes as the message says");
  return WriteMultiMessage{.count = static_cast<std::uint32_t>(fixed->count), .entries = entries};
}

abi::VfioUserHeader make_command(std::uint16_t message_id, abi::VfioUserCommand command,
                                 std::size_t payload_size, std::uint32_t flags) {
  return {.message_id = message_id,
          .command = command,
          .size = static_cast<std::uint32_t>(sizeof(abi::VfioUserHeader) + payload_size),
          .flags = abi::vfio_user_flags_type_command | flags,
          .error = 0};
}

abi::VfioUserHeader make_reply(const abi::VfioUserHeader& request, std::size_t payload_size) {
  return {.message_id = request.message_id,
          .command = request.command,
          .size = static_cast<std::uint32_t>(sizeof(abi::VfioUserHeader) + payload_size),
          .flags = abi::vfio_user_flags_type_reply,
          .error = 0};
}

abi::VfioUserHeader make_error_reply(const abi::VfioUserHeader& request, int code) {
  abi::VfioUserHeader reply = make_reply(request, 0);
  reply.flags |= abi::vfio_user_flags_error;
  reply.error = static_cast<std::uint32_t>(code);
  return reply;
}

Result<> result_of(const abi::VfioUserHeader& reply) {
  if ((reply.flags & abi::vfio_user_flags_error) == 0) return {};
  if (reply.error == 0 || reply.error > errno_max) return fail(EPROTO, "an error reply whose errno is none");
  return fail(static_cast<int>(reply.error), "the peer answered with an error");
}

}  // namespace umdev::vfio_user
