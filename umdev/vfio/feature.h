// VFIO_DEVICE_FEATURE: which of them the core answers, and what its answers look like.
//
//   MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE   devices with Device::migration()
//   MIG_PRECOPY_INFOv2                           those with pre-copy
//   DMA_LOGGING_START, STOP, REPORT              those with Migration::logs_dma()
//   all others                                   Device::device_feature()
//
// Errors, in the kernel's order: EINVAL unknown flags, or GET with SET and without PROBE; ENOTTY a feature
// that the device does not have; EINVAL an operation (GET, SET) that the feature does not have; success of a
// PROBE; EINVAL neither GET nor SET; EINVAL data or room for less than the feature's structure; then what the
// feature says.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "umdev/vfio/device.h"
#include "umdev/vfio/migration_file.h"

namespace umdev::vfio {

// The kernel's vfio_check_feature, for a feature with these operations (abi::vfio_device_feature_get, _set)
// and a structure of `size` bytes: true to go on, false for a probe that was answered, EINVAL.
Result<bool> check_feature(const FeatureRequest& request, std::uint32_t operations, std::size_t size);

struct FeatureAnswer {
  // GET: what stands behind the header; of DMA_LOGGING_REPORT with the bitmap behind its structure. SET of
  // MIG_DEVICE_STATE: the structure, with data_fd -1. SET of
  // DMA_LOGGING_START: what was given, with the page size that the log really has. Otherwise empty.
  std::vector<std::byte> data;
  // SET of MIG_DEVICE_STATE, when it began a transfer: what data_fd stands for.
  std::shared_ptr<MigrationFile> file;
};

}  // namespace umdev::vfio
