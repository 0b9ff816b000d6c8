// Messages as values: payloads checked before a field is touched, and the heads of replies. Pure: no I/O, no
// state.
//
// A request's argsz says how large a reply the client takes; it must cover the fixed structure, as the
// kernel's minsz rule wants (EINVAL). Bytes behind a fixed structure are ignored, except where data follow.
#pragma once

#include <cstdint>
#include <string_view>

#include "umdev/abi/vfio_user.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::vfio_user {

// What kind of message a header announces.
inline bool is_command(const abi::VfioUserHeader& header) {
  return (header.flags & abi::vfio_user_flags_type_mask) == abi::vfio_user_flags_type_command;
}
inline bool is_reply(const abi::VfioUserHeader& header) {
  return (header.flags & abi::vfio_user_flags_type_mask) == abi::vfio_user_flags_type_reply;
}
// False: the sender wants no reply, not even of an error.
inline bool wants_reply(const abi::VfioUserHeader& header) {
  return (header.flags & abi::vfio_user_flags_no_reply) == 0;
}

// "REGION_READ"; "unknown" for a number without a name.
std::string_view command_name(std::uint16_t command);
// Above every command number that has a name.
inline constexpr std::uint16_t command_count = 19;

// EINVAL for a payload too short, an argsz too small, or (DMA_MAP and DMA_UNMAP) flags that this wire does
// not have: VFIO_DMA_MAP_FLAG_VADDR shares its bit with another server's MMAP flag.
Result<abi::VfioUserDmaMap> decode_dma_map(ConstBytes payload);
Result<abi::VfioUserDmaUnmap> decode_dma_unmap(ConstBytes payload);
// What stands behind a DMA_UNMAP with VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP. EINVAL: not there, an argsz
// without room for the bitmap, or together with VFIO_DMA_UNMAP_FLAG_ALL. E2BIG: more than `size_max` bytes.
Result<abi::VfioUserBitmap> decode_unmap_bitmap(ConstBytes payload, std::uint64_t size_max);
Result<abi::VfioUserDeviceInfo> decode_device_info(ConstBytes payload);
Result<abi::VfioUserRegionInfo> decode_region_info(ConstBytes payload);
Result<abi::VfioUserIrqInfo> decode_irq_info(ConstBytes payload);

// EINVAL for flags, of which there are none yet.
Result<abi::VfioUserRegionIoFds> decode_region_io_fds(ConstBytes payload);

struct IrqSetMessage {
  abi::VfioUserIrqSet fixed{};
  ConstBytes bools;  // what follows the structure
};
Result<IrqSetMessage> decode_irq_set(ConstBytes payload);

// E2BIG: more than `count_max` bytes.
Result<abi::VfioUserRegionAccess> decode_region_read(ConstBytes payload, std::uint32_t count_max);

struct RegionWriteMessage {
  abi::VfioUserRegionAccess fixed{};
  ConstBytes data;
};
// E2BIG as above; EINVAL when there are not exactly `count` bytes of data.
Result<RegionWriteMessage> decode_region_write(ConstBytes payload, std::uint32_t count_max);

struct FeatureMessage {
  abi::VfioUserFeature fixed{};
  ConstBytes data;  // what follows the structure
};
Result<FeatureMessage> decode_feature(ConstBytes payload);

// EINVAL when argsz has no room for `size` bytes of data, E2BIG when those are more than `size_max`.
Result<abi::VfioUserMigData> decode_mig_data_read(ConstBytes payload, std::uint32_t size_max);
// The data. E2BIG as above; EINVAL when there are not exactly `size` bytes.
Result<ConstBytes> decode_mig_data_write(ConstBytes payload, std::uint32_t size_max);

// The writes of a REGION_WRITE_MULTI: whole entries, whose fields nobody has checked. EINVAL when there are
// not exactly `count` of them, E2BIG when there are more than `count_max`.
struct WriteMultiMessage {
  std::uint32_t count = 0;
  ConstBytes entries;
};
Result<WriteMultiMessage> decode_write_multi(ConstBytes payload, std::uint32_t count_max);

// The header of a command with `payload_size` bytes behind it.
abi::VfioUserHeader make_command(std::uint16_t message_id, abi::VfioUserCommand command,
                                 std::size_t payload_size, std::uint32_t flags = 0);
// The header of the reply to `request`, and of an error reply, which is a bare header. `code` is an errno.
abi::VfioUserHeader make_reply(const abi::VfioUserHeader& request, std::size_t payload_size);
abi::VfioUserHeader make_error_reply(const abi::VfioUserHeader& request, int code);

// What a reply's header says: nothing, or the peer's error with its errno (EPROTO for an errno that cannot be
// one).
Result<> result_of(const abi::VfioUserHeader& reply);

}  // namespace umdev::vfio_user
