// DMA_MAP and DMA_UNMAP: the kernel's MAP_DMA and UNMAP_DMA on the session's container.
#include <algorithm>
#include <cstring>

#include "umdev/abi/migration.h"
#include "umdev/abi/vfio.h"
#include "umdev/iommu/client_memory.h"
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/quirks.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

Result<> Session::dma_map(const Frame& frame) {
  const abi::VfioUserDmaMap map = UMDEV_TRY(decode_dma_map(frame.payload));
  if (frame.fds->size() > 1) return fail(EINVAL, "a map is of one file");
  // What is smaller than the smallest page size that both agreed on; the core checks for its own.
  if (((map.iova | map.size) & ((agreed_.pgsizes & -agreed_.pgsizes) - 1)) != 0)
    return fail(EINVAL, "not a multiple of a page size that was agreed on");
  if (iommu_->mapping_count() >= agreed_.max_dma_maps) return fail(ENOSPC, "more mappings than agreed on");
  iommu::ClientMemory::Slice slice;
  if (frame.fds->empty()) {
    slice = {.backing = message_memory(), .offset = map.iova};
  } else {
    const bool writable = (map.flags & abi::vfio_dma_map_flag_write) != 0;
    slice = UMDEV_TRY(memory_->share(frame.fds->take(0), map.offset, map.size, writable));
  }
  static_assert(quirks::offset_takes_place_of_vaddr);
  UMDEV_TRY(iommu_->map({.flags = map.flags,
                         .iova = map.iova,
                         .size = map.size,
                         .vaddr = frame.fds->empty() ? 0 : map.offset,
                         .backing = std::move(slice.backing),
                         .backing_offset = slice.offset}));
  note_mappings();
  reply({});
  return {};
}

Result<> Session::dma_unmap(const Frame& frame) {
  unmap_ = UMDEV_TRY(decode_dma_unmap(frame.payload));
  std::uint32_t flags = unmap_.flags;
  std::vector<std::byte>().swap(dirty_);
  if ((flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) != 0) {
    bitmap_ = UMDEV_TRY(decode_unmap_bitmap(frame.payload, agreed_.max_bitmap_size));
    dirty_.resize(bitmap_.size);
    // Before anything is unmapped: an unmap that succeeds has its bitmap.
    static_assert(quirks::unmap_bitmap_is_of_dma_logging);
    UMDEV_TRY(add_dirty());
    flags &= ~abi::vfio_dma_unmap_flag_get_dirty_bitmap;
  }
  start(Pending::unmap);
  iommu_->unmap({.flags = flags, .iova = unmap_.iova, .size = unmap_.size},
                [operation = operation_](Result<std::uint64_t> bytes) { operation->complete(bytes); });
  // What it waits for, the client would answer only after this.
  if (dma_ && !operation_->is_answered()) {
    const bool all = (unmap_.flags & abi::vfio_dma_unmap_flag_all) != 0;
    dma_->cancel(all ? iommu::IovaRange{0, UINT64_MAX} : iommu::IovaRange{unmap_.iova, unmap_.size});
  }
  if (call_returned()) finish_operation();
  return {};
}

Result<> Session::unmapped(std::uint64_t bytes) {
  note_mappings();
  const bool with_bitmap = (unmap_.flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) != 0;
  // And what was written until the last pin was gone. (The log may have been stopped meanwhile.)
  if (with_bitmap) (void)add_dirty();
  unmap_.argsz = sizeof unmap_;
  unmap_.size = bytes;
  if (!with_bitmap) {
    reply(bytes_of(unmap_));
    return {};
  }
  unmap_.argsz = static_cast<std::uint32_t>(sizeof unmap_ + sizeof bitmap_ + dirty_.size());
  std::vector<std::byte> data(sizeof bitmap_ + dirty_.size());
  std::memcpy(data.data(), &bitmap_, sizeof bitmap_);
  std::ranges::copy(dirty_, data.begin() + sizeof bitmap_);
  std::vector<std::byte>().swap(dirty_);
  reply(bytes_of(unmap_), data);
  return {};
}

// Adds the pages of the unmap's range that the device wrote, by VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, which
// forgets them.
Result<> Session::add_dirty() {
  const abi::VfioDmaLoggingReport report{
      .iova = unmap_.iova, .length = unmap_.size, .page_size = bitmap_.page_size};
  Result<vfio::FeatureAnswer> answer = fail(EIO, "the log did not answer");
  device_->feature({.flags = abi::vfio_device_feature_get | abi::vfio_device_feature_dma_logging_report,
                    .data = bytes_of(report),
                    .room = sizeof report + dirty_.size()},
                   [&](Result<vfio::FeatureAnswer> result) { answer = std::move(result); });
  const vfio::FeatureAnswer reported = UMDEV_TRY(std::move(answer));
  const std::size_t size = std::min(dirty_.size(), reported.data.size() - sizeof report);
  for (std::size_t i = 0; i < size; ++i) dirty_[i] |= reported.data[sizeof report + i];
  return {};
}

void Session::note_mappings() {
  mappings_now_.store(iommu_->mapping_count(), std::memory_order_relaxed);
}

}  // namespace umdev::vfio_user
