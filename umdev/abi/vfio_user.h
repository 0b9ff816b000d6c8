// The vfio-user wire format: command numbers, flags and the structures that travel. Names only, no logic.
// All integers are in host byte order; structures are packed, and every field is naturally placed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace umdev::abi {

// The protocol version that is spoken. QEMU refuses a reply whose minor is above 0.
inline constexpr std::uint16_t vfio_user_major = 0;
inline constexpr std::uint16_t vfio_user_minor = 0;

enum VfioUserCommand : std::uint16_t {
  vfio_user_version = 1,
  vfio_user_dma_map = 2,
  vfio_user_dma_unmap = 3,
  vfio_user_device_get_info = 4,
  vfio_user_device_get_region_info = 5,
  vfio_user_device_get_region_io_fds = 6,
  vfio_user_device_get_irq_info = 7,
  vfio_user_device_set_irqs = 8,
  vfio_user_region_read = 9,
  vfio_user_region_write = 10,
  vfio_user_dma_read = 11,   // server to client
  vfio_user_dma_write = 12,  // server to client
  vfio_user_device_reset = 13,
  vfio_user_dirty_pages = 14,  // removed from the protocol
  vfio_user_region_write_multi = 15,
  vfio_user_device_feature = 16,
  vfio_user_mig_data_read = 17,
  vfio_user_mig_data_write = 18,
};

// The flags of a header.
inline constexpr std::uint32_t vfio_user_flags_type_mask = 0xf;
inline constexpr std::uint32_t vfio_user_flags_type_command = 0;
inline constexpr std::uint32_t vfio_user_flags_type_reply = 1;
inline constexpr std::uint32_t vfio_user_flags_no_reply = 1U << 4;
inline constexpr std::uint32_t vfio_user_flags_error = 1U << 5;

// In front of every message.
struct VfioUserHeader {
  std::uint16_t message_id;  // chosen by the sender of a command, echoed by the reply; may repeat
  std::uint16_t command;
  std::uint32_t size;  // of the whole message
  std::uint32_t flags;
  std::uint32_t error;  // an errno, in replies with vfio_user_flags_error
};
static_assert(sizeof(VfioUserHeader) == 16);
static_assert(offsetof(VfioUserHeader, size) == 4);
static_assert(offsetof(VfioUserHeader, error) == 12);

// VERSION; a zero-terminated JSON text follows.
struct VfioUserVersion {
  std::uint16_t major_number;
  std::uint16_t minor_number;
};
static_assert(sizeof(VfioUserVersion) == 4);

// DMA_MAP. The flags are VFIO_DMA_MAP_FLAG_READ and _WRITE.
struct VfioUserDmaMap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t offset;  // in the file whose descriptor comes along
  std::uint64_t iova;
  std::uint64_t size;
};
static_assert(sizeof(VfioUserDmaMap) == 32);
static_assert(offsetof(VfioUserDmaMap, iova) == 16);

// DMA_UNMAP, request and reply. The flags are VFIO_DMA_UNMAP_FLAG_*.
struct VfioUserDmaUnmap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t iova;
  std::uint64_t size;
};
static_assert(sizeof(VfioUserDmaUnmap) == 24);

// DEVICE_GET_INFO, request and reply.
struct VfioUserDeviceInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t num_regions;
  std::uint32_t num_irqs;
};
static_assert(sizeof(VfioUserDeviceInfo) == 16);

// DEVICE_GET_REGION_INFO, request and reply; capabilities may follow the reply.
struct VfioUserRegionInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t cap_offset;  // from the start of this structure
  std::uint64_t size;
  std::uint64_t offset;  // where the region begins in the file whose descriptor comes along
};
static_assert(sizeof(VfioUserRegionInfo) == 32);
static_assert(offsetof(VfioUserRegionInfo, size) == 16);

// DEVICE_GET_REGION_IO_FDS, request and reply.
struct VfioUserRegionIoFds {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(VfioUserRegionIoFds) == 16);

// One of the entries behind a DEVICE_GET_REGION_IO_FDS reply, as the specification has it: 40 bytes.
struct VfioUserIoFd {
  std::uint64_t offset;  // in the region
  std::uint64_t size;
  std::uint32_t fd_index;  // which of the descriptors that come along
  std::uint32_t type;      // vfio_user_io_fd_type_*
  std::uint32_t flags;     // vfio_user_io_event_fd_flag_*
  std::uint32_t padding;
  std::uint64_t datamatch;
};
static_assert(sizeof(VfioUserIoFd) == 40);
// libvfio-user's entries, which have a shadow descriptor and its offset before datamatch: 48 bytes.
struct VfioUserShadowIoFd {
  std::uint64_t offset;
  std::uint64_t size;
  std::uint32_t fd_index;
  std::uint32_t type;
  std::uint32_t flags;
  std::uint32_t shadow_fd_index;
  std::uint64_t shadow_offset;
  std::uint64_t datamatch;
};
static_assert(sizeof(VfioUserShadowIoFd) == 48);
inline constexpr std::uint32_t vfio_user_io_fd_type_event = 0;
inline constexpr std::uint32_t vfio_user_io_fd_type_region = 1;
inline constexpr std::uint32_t vfio_user_io_event_fd_flag_datamatch = 1U << 0;
inline constexpr std::uint32_t vfio_user_io_event_fd_flag_pio = 1U << 1;

// DEVICE_GET_IRQ_INFO, request and reply.
struct VfioUserIrqInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(VfioUserIrqInfo) == 16);

// DEVICE_SET_IRQS; one byte a vector follows with VFIO_IRQ_SET_DATA_BOOL. Descriptors come along.
struct VfioUserIrqSet {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
};
static_assert(sizeof(VfioUserIrqSet) == 20);

// REGION_READ and REGION_WRITE, request and reply; the data follow.
struct VfioUserRegionAccess {
  std::uint64_t offset;
  std::uint32_t region;
  std::uint32_t count;
};
static_assert(sizeof(VfioUserRegionAccess) == 16);

// REGION_WRITE_MULTI, request (its entries follow) and reply (how many of them were done).
struct VfioUserWriteMulti {
  std::uint64_t count;
};
static_assert(sizeof(VfioUserWriteMulti) == 8);
inline constexpr std::uint32_t vfio_user_write_entry_data = 8;
struct VfioUserWriteEntry {
  std::uint64_t offset;
  std::uint32_t region;
  std::uint32_t count;  // of the bytes in `data`
  std::uint8_t data[vfio_user_write_entry_data];
};
static_assert(sizeof(VfioUserWriteEntry) == 24);
static_assert(offsetof(VfioUserWriteEntry, data) == 16);

// Behind a DMA_UNMAP with VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, request and reply; the reply's bitmap
// follows.
struct VfioUserBitmap {
  std::uint64_t page_size;
  std::uint64_t size;  // of the bitmap, in bytes
};
static_assert(sizeof(VfioUserBitmap) == 16);

// DEVICE_FEATURE, request and reply; the feature's data follow. The flags are VFIO_DEVICE_FEATURE_*.
struct VfioUserFeature {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(VfioUserFeature) == 8);

// MIG_DATA_READ and MIG_DATA_WRITE, request and reply; the data follow.
struct VfioUserMigData {
  std::uint32_t argsz;
  std::uint32_t size;
};
static_assert(sizeof(VfioUserMigData) == 8);

// DMA_READ and DMA_WRITE, request and reply; the data follow.
struct VfioUserDmaAccess {
  std::uint64_t iova;
  std::uint64_t count;
};
static_assert(sizeof(VfioUserDmaAccess) == 16);

}  // namespace umdev::abi
