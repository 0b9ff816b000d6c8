// Names of VFIO's migration protocol v2 and of device DMA logging (linux/vfio.h): features, states and the
// structures that travel. Names only, no logic. tests/unit/abi checks them against the system's header where
// that has them.
#pragma once

#include <cstdint>

namespace umdev::abi {

// The low 16 bits of VFIO_DEVICE_FEATURE's flags.
enum VfioDeviceFeature : std::uint32_t {
  vfio_device_feature_pci_vf_token = 0,
  vfio_device_feature_migration = 1,
  vfio_device_feature_mig_device_state = 2,
  vfio_device_feature_dma_logging_start = 6,
  vfio_device_feature_dma_logging_stop = 7,
  vfio_device_feature_dma_logging_report = 8,
  vfio_device_feature_mig_data_size = 9,
  vfio_device_feature_mig_precopy_info_v2 = 12,
};

// VFIO_DEVICE_FEATURE_MIGRATION: what a device can do.
inline constexpr std::uint64_t vfio_migration_stop_copy = 1U << 0;
inline constexpr std::uint64_t vfio_migration_p2p = 1U << 1;
inline constexpr std::uint64_t vfio_migration_pre_copy = 1U << 2;

enum VfioDeviceMigState : std::uint32_t {
  vfio_device_state_error = 0,
  vfio_device_state_stop = 1,
  vfio_device_state_running = 2,
  vfio_device_state_stop_copy = 3,
  vfio_device_state_resuming = 4,
  vfio_device_state_running_p2p = 5,
  vfio_device_state_pre_copy = 6,
  vfio_device_state_pre_copy_p2p = 7,
};

// struct vfio_device_feature_migration
struct VfioDeviceFeatureMigration {
  std::uint64_t flags;
};
static_assert(sizeof(VfioDeviceFeatureMigration) == 8);

// struct vfio_device_feature_mig_state
struct VfioDeviceFeatureMigState {
  std::uint32_t device_state;
  std::int32_t data_fd;
};
static_assert(sizeof(VfioDeviceFeatureMigState) == 8);

// struct vfio_device_feature_mig_data_size
struct VfioDeviceFeatureMigDataSize {
  std::uint64_t stop_copy_length;
};
static_assert(sizeof(VfioDeviceFeatureMigDataSize) == 8);

// VFIO_DEVICE_FEATURE_DMA_LOGGING_START, its part of fixed size. The ranges follow it on vfio-user's wire; in
// the kernel's structure a pointer to them does.
struct VfioDmaLoggingStart {
  std::uint64_t page_size;
  std::uint32_t num_ranges;
  std::uint32_t reserved;
};
static_assert(sizeof(VfioDmaLoggingStart) == 16);

// struct vfio_device_feature_dma_logging_range
struct VfioDmaLoggingRange {
  std::uint64_t iova;
  std::uint64_t length;
};
static_assert(sizeof(VfioDmaLoggingRange) == 16);

// VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, as above: the bitmap, or a pointer to it, follows.
struct VfioDmaLoggingReport {
  std::uint64_t iova;
  std::uint64_t length;
  std::uint64_t page_size;
};
static_assert(sizeof(VfioDmaLoggingReport) == 24);

// struct vfio_precopy_info, of VFIO_MIG_GET_PRECOPY_INFO.
struct VfioPrecopyInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t initial_bytes;
  std::uint64_t dirty_bytes;
};
static_assert(sizeof(VfioPrecopyInfo) == 24);

}  // namespace umdev::abi
