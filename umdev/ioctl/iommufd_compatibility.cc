#include "umdev/ioctl/iommufd_compatibility.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"
#include "umdev/ioctl/iommufd_mapping.h"
#include "umdev/ioctl/type1_commands.h"
#include "umdev/ioctl/world.h"

namespace umdev::ioctl {
namespace {

// Groups come and go under their container's lock.
class CompatibilityAccess final : public iommu::IoasAccess {
 public:
  explicit CompatibilityAccess(std::shared_ptr<iommu::Iommufd> iommufd)
      : IoasAccess(/*physical=*/false), iommufd_(std::move(iommufd)) {}

  int check_extension(std::uint32_t extension) const override {
    return extension == abi::vfio_dma_cc_iommu ? 1 : 0;
  }
  Result<> attach_group(const iommu::GroupAttachment& group) override {
    auto ioas = this->ioas();
    if (!ioas) ioas = UMDEV_TRY(iommufd_->need_compatibility_ioas());
    if (!group.emulated) UMDEV_TRY(ioas->attach(/*physical=*/true));
    if (const Result<> attached = attach(ioas); !attached) {
      if (!group.emulated) ioas->detach(/*physical=*/true);
      return attached;
    }
    ++groups_;
    return {};
  }
  void detach_group(const iommu::GroupAttachment& group) override {
    if (!group.emulated) ioas()->detach(/*physical=*/true);
    if (--groups_ == 0) detach();
  }

 private:
  const std::shared_ptr<iommu::Iommufd> iommufd_;
  std::uint32_t groups_ = 0;
};

Result<std::shared_ptr<iommu::Ioas>> find_ioas(const iommu::Iommufd& iommufd) {
  return iommufd.ioas(UMDEV_TRY(iommufd.compatibility_ioas()));
}

Result<Answer> check_extension(const iommu::Iommufd& iommufd, std::uint64_t extension) {
  switch (extension) {
    case abi::vfio_type1_iommu:
    case abi::vfio_type1v2_iommu:
    case abi::vfio_unmap_all:
      return Answer{.value = 1};
    case abi::vfio_dma_cc_iommu:
      UMDEV_TRY(find_ioas(iommufd));
      return Answer{.value = 1};
    default:
      return Answer{};
  }
}

Result<> set_iommu(const iommu::Iommufd& iommufd, std::uint64_t type) {
  if (type != abi::vfio_type1_iommu && type != abi::vfio_type1v2_iommu)
    return fail(EINVAL, "not a type of type1");
  UMDEV_TRY(find_ioas(iommufd));
  return {};
}

// Unlike type1's, the answer says in `argsz` how long it is whether it fitted or not.
Result<> get_info(const iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  constexpr std::size_t minsz = offsetof(abi::VfioIommuType1Info, cap_offset);
  auto answer = UMDEV_TRY(read_argsz<abi::VfioIommuType1Info>(caller, argument, minsz));
  const auto ioas = UMDEV_TRY(find_ioas(iommufd));
  iommu::IommuInfo info{.page_sizes = ~(iommu::page_size - 1), .dma_available = UINT32_MAX, .valid_iova = {}};
  for (const iommu::IovaSpan span : ioas->valid_spans())
    info.valid_iova.push_back(
        {.iova = span.start, .size = span.last - span.start + (span.last != UINT64_MAX)});
  const auto capabilities = UMDEV_TRY(iommu_capabilities(info));
  const std::uint32_t argsz = answer.argsz;
  const auto whole = static_cast<std::uint32_t>(sizeof answer + capabilities.size());
  answer.argsz = whole;
  answer.flags = abi::vfio_iommu_info_pgsizes | abi::vfio_iommu_info_caps;
  answer.iova_pgsizes = info.page_sizes;
  answer.cap_offset = 0;
  if (argsz >= whole) {
    UMDEV_TRY(caller.write(argument + sizeof answer, capabilities.shifted(sizeof answer)));
    answer.cap_offset = sizeof answer;
  }
  return write_value(caller, argument, answer, argsz);
}

Result<> map_dma(const iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  constexpr std::uint32_t known = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
  const auto map = UMDEV_TRY(read_argsz<abi::VfioIommuType1DmaMap>(caller, argument));
  if ((map.flags & ~known) != 0) return fail(EINVAL, "unknown flags");
  const auto ioas = UMDEV_TRY(find_ioas(iommufd));
  if (map.size != 0 && map.vaddr + map.size < map.vaddr) return fail(EOVERFLOW, "vaddr wraps");
  auto mapping = mapping_of(caller, *ioas, map.vaddr, map.size, static_cast<iommu::Access>(map.flags));
  mapping.iova = map.iova;
  return ioas->map(mapping);
}

void unmap_dma(const iommu::Iommufd& iommufd, std::shared_ptr<Caller> caller, UserAddress argument,
               Done<Answer> done) {
  const auto asked = read_argsz<abi::VfioIommuType1DmaUnmap>(*caller, argument);
  if (!asked) return done(std::unexpected(asked.error()));
  const bool all = (asked->flags & abi::vfio_dma_unmap_flag_all) != 0;
  if ((asked->flags & ~abi::vfio_dma_unmap_flag_all) != 0) return done(fail(EINVAL, "unknown flags"));
  const auto ioas = find_ioas(iommufd);
  if (!ioas) return done(std::unexpected(ioas.error()));
  if (all && (asked->iova != 0 || asked->size != 0)) return done(fail(EINVAL, "ALL wants iova 0 and size 0"));
  struct Unmapping {
    std::shared_ptr<iommu::Ioas> ioas;
    std::shared_ptr<Caller> caller;
    UserAddress argument;
    abi::VfioIommuType1DmaUnmap unmap;
    Done<Answer> done;
  };
  auto unmapping = std::make_shared<Unmapping>(*ioas, std::move(caller), argument, *asked, std::move(done));
  const std::uint64_t size = all ? UINT64_MAX : asked->size;
  // Nothing to unmap is none of VFIO's errors; what would be cut is, and the size is written in either case.
  const bool nothing = !all && !(*ioas)->anything_in(asked->iova, asked->size);
  (*ioas)->unmap(asked->iova, size, [unmapping, nothing](Result<std::uint64_t> bytes) {
    unmapping->unmap.size = bytes.value_or(0);
    Result<> result = write_value(*unmapping->caller, unmapping->argument, unmapping->unmap);
    if (result && !bytes && !(nothing && bytes.error().code == ENOENT))
      result = std::unexpected(bytes.error());
    unmapping->done(success(result));
  });
}

}  // namespace

std::shared_ptr<vfio::Container> make_compatibility_container(
    const std::shared_ptr<iommu::Iommufd>& iommufd) {
  return std::make_shared<vfio::Container>(std::make_shared<CompatibilityAccess>(iommufd), iommufd,
                                           vfio::Caller{});
}

void compatibility_command(iommu::Iommufd& iommufd, std::uint32_t command, std::uint64_t argument,
                           std::shared_ptr<Caller> caller, Done<Answer> done) {
  switch (command) {
    case abi::vfio_get_api_version:
      return done(Answer{.value = abi::vfio_api_version});
    case abi::vfio_check_extension:
      return done(check_extension(iommufd, argument));
    case abi::vfio_set_iommu:
      return done(success(set_iommu(iommufd, argument)));
    case abi::vfio_iommu_get_info:
      return done(success(get_info(iommufd, *caller, argument)));
    case abi::vfio_iommu_map_dma:
      return done(success(map_dma(iommufd, *caller, argument)));
    case abi::vfio_iommu_unmap_dma:
      return unmap_dma(iommufd, std::move(caller), argument, std::move(done));
    default:
      return done(fail(ENOTTY, "an iommufd has no such command"));
  }
}

}  // namespace umdev::ioctl
