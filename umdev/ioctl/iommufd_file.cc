#include "umdev/ioctl/iommufd_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "umdev/abi/iommufd.h"
#include "umdev/ioctl/iommufd_compatibility.h"
#include "umdev/ioctl/iommufd_mapping.h"
#include "umdev/ioctl/sized_argument.h"
#include "umdev/vfio/core.h"

namespace umdev::ioctl {
namespace {

Result<> destroy(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  const auto asked = UMDEV_TRY(read_sized<abi::IommuDestroy>(caller, argument));
  return iommufd.destroy(asked.value.id);
}

Result<> ioas_alloc(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuIoasAlloc>(caller, argument));
  if (asked.value.flags != 0) return fail(EOPNOTSUPP, "an IOAS has no flags");
  asked.value.out_ioas_id = UMDEV_TRY(iommufd.add_ioas());
  Result<> written = write_sized(caller, argument, asked);
  // What the caller is not told of is nobody's.
  if (!written) (void)iommufd.destroy(asked.value.out_ioas_id);
  return written;
}

Result<> vfio_ioas(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuVfioIoas>(caller, argument));
  if (asked.value.reserved != 0) return fail(EOPNOTSUPP, "a reserved field is set");
  switch (asked.value.op) {
    case abi::iommu_vfio_ioas_get:
      asked.value.ioas_id = UMDEV_TRY(iommufd.compatibility_ioas());
      return write_sized(caller, argument, asked);
    case abi::iommu_vfio_ioas_set:
      return iommufd.set_compatibility_ioas(asked.value.ioas_id);
    case abi::iommu_vfio_ioas_clear:
      iommufd.clear_compatibility_ioas();
      return {};
    default:
      return fail(EOPNOTSUPP, "no such operation");
  }
}

// Of page tables that user space walks, none; of those that the kernel keeps, the plain ones.
Result<> hwpt_alloc(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  constexpr std::size_t minsz = 24;
  auto asked = UMDEV_TRY(read_sized<abi::IommuHwptAlloc>(caller, argument, minsz));
  abi::IommuHwptAlloc& alloc = asked.value;
  if (alloc.flags != 0 || alloc.reserved != 0 || alloc.data_type != 0)
    return fail(EOPNOTSUPP, "a plain page table has no flags and no data");
  if (alloc.data_len != 0) return fail(EINVAL, "data of no type");
  alloc.out_hwpt_id = UMDEV_TRY(iommufd.add_page_table(alloc.dev_id, alloc.pt_id));
  Result<> written = write_sized(caller, argument, asked);
  if (!written) (void)iommufd.destroy(alloc.out_hwpt_id);
  return written;
}

// There is no hardware to tell of: its type is none, and what the caller has for more is zeros.
Result<> get_hw_info(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  constexpr std::size_t minsz = 32;
  constexpr std::uint32_t room_max = iommu::page_size;
  auto asked = UMDEV_TRY(read_sized<abi::IommuHwInfo>(caller, argument, minsz));
  abi::IommuHwInfo& info = asked.value;
  const bool wants_type = (info.flags & abi::iommu_hw_info_flag_input_type) != 0 && info.data_type != 0;
  if ((info.flags & ~abi::iommu_hw_info_flag_input_type) != 0 || wants_type ||
      std::ranges::any_of(info.reserved, [](std::uint8_t byte) { return byte != 0; }))
    return fail(EOPNOTSUPP, "no such kind of information");
  UMDEV_TRY(iommufd.check_physical_device(info.dev_id));
  if (info.data_len > room_max) return fail(EINVAL, "more room than there can be information");
  UMDEV_TRY(caller.write(info.data_uptr, std::vector<std::byte>(info.data_len)));
  info.data_len = info.data_type = info.out_max_pasid_log2 = 0;
  info.out_capabilities = 0;
  return write_sized(caller, argument, asked);
}

}  // namespace

IommufdFile::IommufdFile(std::shared_ptr<const World> world)
    : world_(std::move(world)),
      iommufd_(std::make_shared<iommu::Iommufd>(world_->core.host().clock(), world_->core.limits())),
      container_(make_compatibility_container(iommufd_)) {}

void IommufdFile::ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
                        Done<Answer> done) {
  iommu::Iommufd& iommufd = *iommufd_;
  switch (command) {
    case abi::iommu_destroy:
      return done(success(destroy(iommufd, *caller, argument)));
    case abi::iommu_ioas_alloc:
      return done(success(ioas_alloc(iommufd, *caller, argument)));
    case abi::iommu_ioas_allow_iovas:
      return done(success(ioas_allow_iovas(iommufd, *caller, argument)));
    case abi::iommu_ioas_copy:
      return done(success(ioas_copy(iommufd, *caller, argument)));
    case abi::iommu_ioas_iova_ranges:
      return done(success(ioas_iova_ranges(iommufd, *caller, argument)));
    case abi::iommu_ioas_map:
      return done(success(ioas_map(iommufd, *caller, argument)));
    case abi::iommu_ioas_map_file:
      return done(success(ioas_map_file(iommufd, *caller, argument)));
    case abi::iommu_ioas_unmap:
      return ioas_unmap(iommufd, std::move(caller), argument, std::move(done));
    case abi::iommu_option:
      return done(success(option(*caller, argument)));
    case abi::iommu_vfio_ioas:
      return done(success(vfio_ioas(iommufd, *caller, argument)));
    case abi::iommu_hwpt_alloc:
      return done(success(hwpt_alloc(iommufd, *caller, argument)));
    case abi::iommu_get_hw_info:
      return done(success(get_hw_info(iommufd, *caller, argument)));
    default:
      return compatibility_command(iommufd, command, argument, std::move(caller), std::move(done));
  }
}

Result<> IommufdFile::rlimit_mode(Caller& caller, std::uint16_t op, std::uint64_t& value) {
  Lock lock(mutex_);
  if (op == abi::iommu_option_op_get) {
    value = rlimit_mode_;
    return {};
  }
  if (!caller.credentials().sys_resource) return fail(EPERM, "the way of accounting needs CAP_SYS_RESOURCE");
  if (!iommufd_->empty()) return fail(EBUSY, "something is accounted for already");
  if (value > 1) return fail(EINVAL, "no such way of accounting");
  rlimit_mode_ = value;
  return {};
}

Result<> IommufdFile::option(Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuOption>(caller, argument));
  abi::IommuOption& option = asked.value;
  if (option.reserved != 0 || option.op > abi::iommu_option_op_get)
    return fail(EOPNOTSUPP, "no such operation");
  switch (option.option_id) {
    case abi::iommu_option_rlimit_mode:
      if (option.object_id != 0) return fail(EOPNOTSUPP, "the option is of the whole file");
      UMDEV_TRY(rlimit_mode(caller, option.op, option.val64));
      break;
    case abi::iommu_option_huge_pages:
      UMDEV_TRY(iommufd_->ioas(option.object_id));
      // Memory is used as it is: there are no tables whose pages could be large.
      if (option.op == abi::iommu_option_op_set && option.val64 > 1) return fail(EINVAL, "neither 0 nor 1");
      if (option.op == abi::iommu_option_op_get) option.val64 = 1;
      break;
    default:
      return fail(EOPNOTSUPP, "no such option");
  }
  return write_sized(caller, argument, asked);
}

}  // namespace umdev::ioctl
