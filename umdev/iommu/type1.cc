#include "umdev/iommu/type1.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/address_space.h"
#include "umdev/iommu/dirty_pages.h"
#include "umdev/iommu/translated.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

namespace {

constexpr std::uint64_t page_mask = ~(page_size - 1);

constexpr bool misaligned(std::uint64_t value) {
  return (value & ~page_mask) != 0;
}

constexpr Access access_of(std::uint32_t flags) {
  const bool read = (flags & abi::vfio_dma_map_flag_read) != 0;
  const bool write = (flags & abi::vfio_dma_map_flag_write) != 0;
  return static_cast<Access>((read ? 1U : 0U) | (write ? 2U : 0U));
}

// vfio_iommu_type1_unmap_dma and the checks at the head of vfio_dma_do_unmap, in their order.
Result<> check_unmap(const UnmapRequest& request) {
  const std::uint32_t flags = request.flags;
  const bool dirty = (flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) != 0;
  const bool all = (flags & abi::vfio_dma_unmap_flag_all) != 0;
  const bool vaddr = (flags & abi::vfio_dma_unmap_flag_vaddr) != 0;
  if ((flags & ~(abi::vfio_dma_unmap_flag_get_dirty_bitmap | abi::vfio_dma_unmap_flag_all |
                 abi::vfio_dma_unmap_flag_vaddr)) != 0) {
    return fail(EINVAL, "unknown flags");
  }
  if (dirty && (all || vaddr)) return fail(EINVAL, "GET_DIRTY_BITMAP excludes ALL and VADDR");
  if (vaddr) return fail(EBUSY, "an emulated group's vaddr cannot be replaced");
  if (misaligned(request.iova)) return fail(EINVAL, "iova is not page aligned");
  if (all && (request.iova != 0 || request.size != 0)) return fail(EINVAL, "ALL wants iova 0 and size 0");
  if (!all && (request.size == 0 || misaligned(request.size))) {
    return fail(EINVAL, "size is 0 or not page aligned");
  }
  if (!all && !IovaRange{request.iova, request.size}.valid()) return fail(EOVERFLOW, "iova + size wraps");
  return {};
}

// verify_bitmap_size, and what both commands with a bitmap want of it.
Result<> check_bitmap(std::uint64_t size, std::uint64_t bitmap_page_size, std::uint64_t bitmap_size,
                      const Limits& limits) {
  if (bitmap_page_size != page_size) return fail(EINVAL, "a bitmap has the smallest page size");
  if (bitmap_size > limits.dirty_bitmap_bytes || bitmap_size < dirty_bitmap_size(size, page_size))
    return fail(EINVAL, "the bitmap is too large, or too small for the range");
  return {};
}

class Type1Instance final : public IommuInstance, public std::enable_shared_from_this<Type1Instance> {
 public:
  Type1Instance(Clock& clock, const Limits& limits, bool v2)
      : v2_(v2), limits_(limits), space_(clock, limits, {.write_needs = Access::read_write}) {}

  int check_extension(std::uint32_t extension) const override {
    switch (extension) {
      case abi::vfio_type1_iommu:
      case abi::vfio_type1v2_iommu:
      case abi::vfio_unmap_all:
      case abi::vfio_dma_cc_iommu:  // no domain that could fail to enforce it
        return 1;
      default:
        return 0;
    }
  }

  Result<> attach_group(const GroupAttachment& group) override {
    Lock lock(mutex_);
    if (std::find(groups_.begin(), groups_.end(), group.iommu_group) != groups_.end()) {
      return fail(EINVAL, "the group is attached already");
    }
    if (!group.emulated) {
      // From here on, what maps is checked; what is mapped already must fit.
      physical_groups_.fetch_add(1);
      if (has_untranslated_mapping()) {
        physical_groups_.fetch_sub(1);
        return fail(EINVAL, "something is mapped that the group's device cannot reach");
      }
    }
    groups_.push_back(group.iommu_group);
    return {};
  }

  void detach_group(const GroupAttachment& group) override {
    {
      Lock lock(mutex_);
      if (std::erase(groups_, group.iommu_group) == 0) return;
      if (!group.emulated) physical_groups_.fetch_sub(1);
      if (!groups_.empty()) return;
    }
    space_.drop_all();
  }

  Result<IommuInfo> info() const override {
    std::vector<IovaRange> valid;
    if (needs_memory()) valid.assign(translated.begin(), translated.end());
    return IommuInfo{.page_sizes = page_mask,
                     .dma_available = space_.mappings_available(),
                     .valid_iova = std::move(valid),
                     .dirty_page_sizes = page_size,
                     .dirty_bitmap_max = limits_.dirty_bitmap_bytes};
  }

  // vfio_iommu_type1_map_dma and vfio_dma_do_map, in their order.
  Result<> map(MapRequest request) override {
    constexpr std::uint32_t prot_flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
    const IovaRange range{request.iova, request.size};
    const bool set_vaddr = (request.flags & abi::vfio_dma_map_flag_vaddr) != 0;
    if ((request.flags & ~(prot_flags | abi::vfio_dma_map_flag_vaddr)) != 0) {
      return fail(EINVAL, "unknown flags");
    }
    if (request.size == 0) return fail(EINVAL, "size is 0");
    if (!range.valid() || !IovaRange{request.vaddr, request.size}.valid()) {
      return fail(EOVERFLOW, "iova or vaddr wraps");
    }
    if (((request.flags & prot_flags) != 0) == set_vaddr) {
      return fail(EINVAL, "neither READ, WRITE nor VADDR, or VADDR with one of them");
    }
    if (misaligned(request.size | request.iova | request.vaddr)) return fail(EINVAL, "not page aligned");
    if (set_vaddr) {
      if (!space_.is_mapped(range)) return fail(ENOENT, "nothing is mapped there");
      return fail(EINVAL, "the mapping's vaddr is valid");
    }
    // What an earlier mapping left in the log is not this one's; mapping one at a time, what is forgotten is
    // nobody's.
    Lock lock(map_mutex_);
    if (needs_memory()) UMDEV_TRY(check_for_physical(request, range));
    if (dirty_.on() && !space_.is_mapped(range)) dirty_.forget(range);
    return space_.map({.range = range,
                       .access = access_of(request.flags),
                       .backing = std::move(request.backing),
                       .backing_offset = request.backing_offset});
  }

  bool needs_memory() const override { return physical_groups_.load() != 0; }

  void unmap(const UnmapRequest& request, Done<std::uint64_t> done) override {
    if (Result<> checked = check_unmap(request); !checked) return done(std::unexpected(checked.error()));
    const bool all = (request.flags & abi::vfio_dma_unmap_flag_all) != 0;
    const UnmapRule rule = all ? UnmapRule::everything : v2_ ? UnmapRule::whole : UnmapRule::first_address;
    const IovaRange range{request.iova, request.size};
    if ((request.flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) == 0)
      return space_.unmap(range, rule, std::move(done));
    if (!dirty_.on()) return done(fail(EINVAL, "dirty pages are not tracked"));
    const auto checked = check_bitmap(range.size, request.bitmap_page_size, request.bitmap.size(), limits_);
    if (!checked) return done(std::unexpected(checked.error()));
    unmap_and_report(range, rule, request.bitmap, std::move(done));
  }

  // VFIO_IOMMU_DIRTY_PAGES.
  Result<> tracks_dirty_pages() const override {
    if (!v2_) return fail(EACCES, "type1 v1 tracks no dirty pages");
    return {};
  }
  Result<> start_dirty_pages() override {
    UMDEV_TRY(tracks_dirty_pages());
    dirty_.start();
    return {};
  }
  Result<> stop_dirty_pages() override {
    UMDEV_TRY(tracks_dirty_pages());
    dirty_.stop();
    return {};
  }
  Result<> dirty_pages(IovaRange range, std::uint64_t bitmap_page_size, Bytes bitmap) override {
    UMDEV_TRY(tracks_dirty_pages());
    if (range.size == 0 || !range.valid()) return fail(EINVAL, "the range is empty, or wraps");
    UMDEV_TRY(check_bitmap(range.size, bitmap_page_size, bitmap.size(), limits_));
    if (misaligned(range.iova | range.size)) return fail(EINVAL, "not page aligned");
    if (!dirty_.on()) return fail(EINVAL, "dirty pages are not tracked");
    if (space_.cuts(range)) return fail(EINVAL, "the range cuts a mapping");
    return dirty_.report(range, bitmap);
  }

  Result<DmaPin> pin(DmaUser& user, IovaRange range, Access access) override {
    // A device of a physical group needs no pin there to reach memory: here it is its DMA.
    if (!v2_ && !needs_memory()) return fail(EACCES, "type1 v1 does not pin");
    return space_.pin(user, range, access);
  }

  void dma_read(DmaUser&, Iova iova, Bytes into, Done<> done) override {
    space_.read(iova, into, std::move(done));
  }
  void dma_write(DmaUser&, Iova iova, ConstBytes from, Done<> done) override {
    space_.write(iova, from, std::move(done));
  }
  bool copies_at_once(IovaRange range) const override { return space_.copies_at_once(range); }

  void register_user(DmaUser& user) override {
    space_.register_user(user);
    dirty_.add(user);
  }
  void unregister_user(DmaUser& user) override {
    dirty_.remove(user);
    space_.unregister_user(user);
  }
  std::vector<StandingMapping> mappings() const override { return space_.mappings(); }
  std::uint32_t mapping_count() const override { return space_.mapping_count(); }
  std::uint32_t pin_count() const override { return space_.pin_count(); }

 private:
  // What the kernel's pinning finds out, in its order behind the checks of a mapping's place.
  Result<> check_for_physical(const MapRequest& request, IovaRange range) const {
    if (space_.is_mapped(range)) return fail(EEXIST, "something is mapped there");
    if (space_.mappings_available() == 0) return fail(ENOSPC, "no mapping is left");
    if (!is_translated(range)) return fail(EINVAL, "the device cannot reach this address");
    if (request.memory_error != 0) return fail(request.memory_error, "the memory cannot be had");
    if (!request.backing) return fail(EFAULT, "there is no memory");
    return {};
  }
  bool has_untranslated_mapping() const {
    return std::ranges::any_of(untranslated, [&](IovaRange range) { return space_.is_mapped(range); });
  }

  // When the last pin is gone everything that was written there is in the log.
  void unmap_and_report(IovaRange range, UnmapRule rule, Bytes bitmap, Done<std::uint64_t> done) {
    struct Unmapping {
      std::shared_ptr<Type1Instance> self;
      IovaRange range;
      Bytes bitmap;
      Done<std::uint64_t> done;
    };
    auto unmapping = std::make_shared<Unmapping>(shared_from_this(), range, bitmap, std::move(done));
    space_.unmap(range, rule, [unmapping](Result<std::uint64_t> size) {
      if (size) {
        const auto reported = unmapping->self->dirty_.report(unmapping->range, unmapping->bitmap);
        if (!reported) size = std::unexpected(reported.error());
      }
      unmapping->done(size);
    });
  }

  const bool v2_;
  const Limits limits_;
  Mutex mutex_;
  std::vector<std::uint32_t> groups_ UMDEV_GUARDED_BY(mutex_);
  std::atomic<std::uint32_t> physical_groups_ = 0;
  Mutex map_mutex_;  // outside of the space's own
  AddressSpace space_;
  DirtyPages dirty_{space_};
};

}  // namespace

Type1Driver::Type1Driver(Clock& clock, const Limits& limits) : clock_(clock), limits_(limits) {}

int Type1Driver::check_extension(std::uint32_t extension) const {
  switch (extension) {
    case abi::vfio_type1_iommu:
    case abi::vfio_type1v2_iommu:
    case abi::vfio_unmap_all:
      return 1;
    default:
      return 0;
  }
}

Result<std::shared_ptr<IommuInstance>> Type1Driver::open(std::uint32_t type) {
  switch (type) {
    case abi::vfio_type1_iommu:
      return std::make_shared<Type1Instance>(clock_, limits_, false);
    case abi::vfio_type1v2_iommu:
    case abi::vfio_type1_nesting_iommu:
      return std::make_shared<Type1Instance>(clock_, limits_, true);
    default:
      return fail(EINVAL, "not a type of this driver");
  }
}

}  // namespace umdev::iommu
