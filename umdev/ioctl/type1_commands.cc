#include "umdev/ioctl/type1_commands.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"
#include "umdev/ioctl/locked_memory.h"
#include "umdev/ioctl/world.h"
#include "umdev/iommu/dirty_log.h"

namespace umdev::ioctl {
namespace {

Result<> add_iova_ranges(vfio::CapabilityChain& chain, const std::vector<iommu::IovaRange>& ranges) {
  const abi::VfioIommuCapIovaRange head{.nr_iovas = static_cast<std::uint32_t>(ranges.size()), .reserved = 0};
  std::vector<std::byte> payload(sizeof head + ranges.size() * sizeof(abi::VfioIovaRange));
  std::memcpy(payload.data(), &head, sizeof head);
  std::byte* at = payload.data() + sizeof head;
  for (const iommu::IovaRange range : ranges) {
    const abi::VfioIovaRange said{.start = range.iova, .end = range.last()};
    std::memcpy(at, &said, sizeof said);
    at += sizeof said;
  }
  return chain.add(abi::vfio_iommu_type1_info_cap_iova_range, 1, payload);
}

Result<> get_info(iommu::IommuInstance& iommu, Caller& caller, UserAddress argument) {
  constexpr std::size_t minsz = offsetof(abi::VfioIommuType1Info, cap_offset);
  const auto asked = UMDEV_TRY(read_argsz<abi::VfioIommuType1Info>(caller, argument, minsz));
  const iommu::IommuInfo info = UMDEV_TRY(iommu.info());
  const abi::VfioIommuType1Info answer{.argsz = asked.argsz,
                                       .flags = abi::vfio_iommu_info_pgsizes,
                                       .iova_pgsizes = info.page_sizes,
                                       .cap_offset = 0,
                                       .pad = 0};
  return write_info(caller, argument, answer, UMDEV_TRY(iommu_capabilities(info)), abi::vfio_iommu_info_caps);
}

iommu::Access access_of(std::uint32_t flags) {
  const bool read = (flags & abi::vfio_dma_map_flag_read) != 0;
  const bool write = (flags & abi::vfio_dma_map_flag_write) != 0;
  return static_cast<iommu::Access>((read ? 1U : 0U) | (write ? 2U : 0U));
}

// The back end checks everything but the memory, and does so first: without memory at all a mapping of a back
// end that wants some is refused in the right order (EFAULT comes last). So memory is asked for only where
// there can be any.
Result<> map_dma(iommu::IommuInstance& iommu, Caller& caller, UserAddress argument) {
  const auto map = UMDEV_TRY(read_argsz<abi::VfioIommuType1DmaMap>(caller, argument));
  iommu::MapRequest request{.flags = map.flags, .iova = map.iova, .size = map.size, .vaddr = map.vaddr};
  const iommu::IovaRange memory{.iova = map.vaddr, .size = map.size};
  const bool must_be_there = iommu.needs_memory();
  if (memory.valid() && (map.flags & abi::vfio_dma_map_flag_vaddr) == 0) {
    auto found = caller.memory({.address = map.vaddr,
                                .size = map.size,
                                .access = access_of(map.flags),
                                .must_be_there = must_be_there});
    if (found) {
      request.backing = std::move(found->backing);
      request.backing_offset = found->offset;
    } else {
      request.memory_error = found.error().code;
    }
  }
  if (must_be_there && request.backing) {
    auto charge = caller.locked_memory()->charge(map.size, caller.credentials());
    if (charge)
      request.backing = charged(std::move(request.backing), std::move(*charge));
    else
      request.memory_error = charge.error().code;
  }
  return iommu.map(std::move(request));
}

// An unmap under way: it may wait for devices to let go of their pins.
struct Unmapping {
  std::shared_ptr<iommu::IommuInstance> iommu;
  std::shared_ptr<Caller> caller;
  UserAddress argument;
  abi::VfioIommuType1DmaUnmap unmap;
  abi::VfioBitmap bitmap{};
  std::vector<std::byte> dirty;
  Done<Answer> done;

  Result<> answer(Result<std::uint64_t> size) {
    if (!size) return std::unexpected(size.error());
    if (!dirty.empty()) UMDEV_TRY(caller->write(bitmap.data, dirty));
    unmap.size = *size;
    return write_value(*caller, argument, unmap);
  }
};

// A bitmap of the caller's for a range, with as many bytes as can be said of it. EINVAL: it is longer than
// the kernel takes.
Result<std::vector<std::byte>> bitmap_for(std::uint64_t range_size, const abi::VfioBitmap& bitmap,
                                          const Limits& limits) {
  if (!std::has_single_bit(bitmap.pgsize) || bitmap.size == 0 || bitmap.size > limits.dirty_bitmap_bytes)
    return fail(EINVAL, "a bitmap that is empty or too long, or of no page size");
  const std::uint64_t needed = iommu::dirty_bitmap_size(range_size, bitmap.pgsize);
  return std::vector<std::byte>(std::min(needed, bitmap.size));
}

Result<> start_unmap(Unmapping& unmapping, const Limits& limits) {
  Caller& caller = *unmapping.caller;
  unmapping.unmap = UMDEV_TRY(read_argsz<abi::VfioIommuType1DmaUnmap>(caller, unmapping.argument));
  const abi::VfioIommuType1DmaUnmap& unmap = unmapping.unmap;
  if ((unmap.flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) == 0) return {};
  if (unmap.argsz < sizeof unmap + sizeof(abi::VfioBitmap))
    return fail(EINVAL, "argsz leaves no room for the bitmap's description");
  unmapping.bitmap = UMDEV_TRY(
      read_value<abi::VfioBitmap>(caller, unmapping.argument + sizeof(abi::VfioIommuType1DmaUnmap)));
  unmapping.dirty = UMDEV_TRY(bitmap_for(unmap.size, unmapping.bitmap, limits));
  return {};
}

void unmap_dma(std::shared_ptr<iommu::IommuInstance> iommu, UserAddress argument,
               std::shared_ptr<Caller> caller, const Limits& limits, Done<Answer> done) {
  auto unmapping = std::make_shared<Unmapping>();
  unmapping->iommu = std::move(iommu);
  unmapping->caller = std::move(caller);
  unmapping->argument = argument;
  if (const Result<> begun = start_unmap(*unmapping, limits); !begun)
    return done(std::unexpected(begun.error()));
  unmapping->done = std::move(done);
  unmapping->iommu->unmap(
      {.flags = unmapping->unmap.flags,
       .iova = unmapping->unmap.iova,
       .size = unmapping->unmap.size,
       .bitmap_page_size = unmapping->bitmap.pgsize,
       .bitmap = unmapping->dirty},
      [unmapping](Result<std::uint64_t> size) { unmapping->done(success(unmapping->answer(size))); });
}

Result<> get_dirty_bitmap(iommu::IommuInstance& iommu, Caller& caller, UserAddress argument,
                          std::uint32_t argsz, const Limits& limits) {
  using Get = abi::VfioIommuType1DirtyBitmapGet;
  if (argsz < sizeof(abi::VfioIommuType1DirtyBitmap) + sizeof(Get))
    return fail(EINVAL, "argsz leaves no room for the range");
  const auto get = UMDEV_TRY(read_value<Get>(caller, argument + sizeof(abi::VfioIommuType1DirtyBitmap)));
  const iommu::IovaRange range{.iova = get.iova, .size = get.size};
  if (range.size != 0 && !range.valid()) return fail(EOVERFLOW, "the range wraps");
  auto dirty = UMDEV_TRY(bitmap_for(range.size, get.bitmap, limits));
  UMDEV_TRY(iommu.dirty_pages(range, get.bitmap.pgsize, dirty));
  return caller.write(get.bitmap.data, dirty);
}

Result<> dirty_pages(iommu::IommuInstance& iommu, Caller& caller, UserAddress argument,
                     const Limits& limits) {
  constexpr std::uint32_t known = abi::vfio_iommu_dirty_pages_flag_start |
                                  abi::vfio_iommu_dirty_pages_flag_stop |
                                  abi::vfio_iommu_dirty_pages_flag_get_bitmap;
  UMDEV_TRY(iommu.tracks_dirty_pages());
  const auto asked = UMDEV_TRY(read_argsz<abi::VfioIommuType1DirtyBitmap>(caller, argument));
  if ((asked.flags & ~known) != 0 || !std::has_single_bit(asked.flags))
    return fail(EINVAL, "exactly one of START, STOP and GET_BITMAP");
  if (asked.flags == abi::vfio_iommu_dirty_pages_flag_start) return iommu.start_dirty_pages();
  if (asked.flags == abi::vfio_iommu_dirty_pages_flag_stop) return iommu.stop_dirty_pages();
  return get_dirty_bitmap(iommu, caller, argument, asked.argsz, limits);
}

}  // namespace

Result<vfio::CapabilityChain> iommu_capabilities(const iommu::IommuInfo& info) {
  vfio::CapabilityChain chain;
  if (info.dirty_page_sizes != 0) {
    const abi::VfioIommuCapMigration migration{.flags = 0,
                                               .pad = 0,
                                               .pgsize_bitmap = info.dirty_page_sizes,
                                               .max_dirty_bitmap_size = info.dirty_bitmap_max};
    UMDEV_TRY(chain.add(abi::vfio_iommu_type1_info_cap_migration, 1, bytes_of(migration)));
  }
  UMDEV_TRY(chain.add(abi::vfio_iommu_type1_info_dma_avail, 1, bytes_of(info.dma_available)));
  if (!info.valid_iova.empty()) UMDEV_TRY(add_iova_ranges(chain, info.valid_iova));
  return chain;
}

void type1_command(std::shared_ptr<iommu::IommuInstance> iommu, std::uint32_t command, UserAddress argument,
                   std::shared_ptr<Caller> caller, const Limits& limits, Done<Answer> done) {
  // The no-iommu driver has no commands at all.
  if (iommu->check_extension(abi::vfio_noiommu_iommu) > 0)
    return done(fail(ENOTTY, "a container without an IOMMU has no such command"));
  switch (command) {
    case abi::vfio_iommu_get_info:
      return done(success(get_info(*iommu, *caller, argument)));
    case abi::vfio_iommu_map_dma:
      return done(success(map_dma(*iommu, *caller, argument)));
    case abi::vfio_iommu_unmap_dma:
      return unmap_dma(std::move(iommu), argument, std::move(caller), limits, std::move(done));
    case abi::vfio_iommu_dirty_pages:
      return done(success(dirty_pages(*iommu, *caller, argument, limits)));
    default:
      return done(fail(ENOTTY, "the IOMMU driver has no such command"));
  }
}

}  // namespace umdev::ioctl
