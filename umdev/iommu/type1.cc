#include "umdev/iommu/type1.h"

#include <algorithm>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/address_space.h"
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
  if (dirty) return fail(EINVAL, "dirty pages are not tracked");
  return {};
}

class Type1Instance final : public IommuInstance {
 public:
  Type1Instance(Clock& clock, const Limits& limits, bool v2)
      : v2_(v2), space_(clock, limits, {.write_needs = Access::read_write}) {}

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
    groups_.push_back(group.iommu_group);
    return {};
  }

  void detach_group(const GroupAttachment& group) override {
    {
      Lock lock(mutex_);
      if (std::erase(groups_, group.iommu_group) == 0 || !groups_.empty()) return;
    }
    space_.drop_all();
  }

  Result<IommuInfo> info() const override {
    return IommuInfo{.page_sizes = page_mask, .dma_available = space_.mappings_available(), .valid_iova = {}};
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
    return space_.map({.range = range,
                       .access = access_of(request.flags),
                       .backing = std::move(request.backing),
                       .backing_offset = request.backing_offset});
  }

  void unmap(const UnmapRequest& request, Done<std::uint64_t> done) override {
    if (Result<> checked = check_unmap(request); !checked) return done(std::unexpected(checked.error()));
    const bool all = (request.flags & abi::vfio_dma_unmap_flag_all) != 0;
    const UnmapRule rule = all ? UnmapRule::everything : v2_ ? UnmapRule::whole : UnmapRule::first_address;
    space_.unmap({request.iova, request.size}, rule, std::move(done));
  }

  Result<DmaPin> pin(DmaUser& user, IovaRange range, Access access) override {
    if (!v2_) return fail(EACCES, "type1 v1 does not pin");
    return space_.pin(user, range, access);
  }

  void dma_read(DmaUser&, Iova iova, Bytes into, Done<> done) override {
    space_.read(iova, into, std::move(done));
  }
  void dma_write(DmaUser&, Iova iova, ConstBytes from, Done<> done) override {
    space_.write(iova, from, std::move(done));
  }

  void register_user(DmaUser& user) override { space_.register_user(user); }
  void unregister_user(DmaUser& user) override { space_.unregister_user(user); }
  std::uint32_t mapping_count() const override { return space_.mapping_count(); }
  std::uint32_t pin_count() const override { return space_.pin_count(); }

 private:
  const bool v2_;
  Mutex mutex_;
  std::vector<std::uint32_t> groups_ UMDEV_GUARDED_BY(mutex_);
  AddressSpace space_;
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
