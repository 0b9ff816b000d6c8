#include "umdev/ioctl/profile.h"

#include <utility>

#include "umdev/abi/migration.h"
#include "umdev/abi/vfio_ioctl.h"

namespace umdev::ioctl {
namespace {

// Where 6.1 has another errno than 7.2.
struct Difference {
  FileKind kind;
  std::uint32_t command;
  int linux_7_2;
  int linux_6_1;
};

constexpr Difference differences[] = {
    // A range that wraps was one more invalid argument.
    {FileKind::container, abi::vfio_iommu_map_dma, EOVERFLOW, EINVAL},
    {FileKind::container, abi::vfio_iommu_unmap_dma, EOVERFLOW, EINVAL},
    {FileKind::container, abi::vfio_iommu_dirty_pages, EOVERFLOW, EINVAL},
    // So was a descriptor of something that is no container.
    {FileKind::group, abi::vfio_group_set_container, EBADFD, EINVAL},
};

}  // namespace

bool has_iommufd(Profile profile) {
  return profile != Profile::linux_6_1;
}

bool has_precopy(Profile profile) {
  return profile != Profile::linux_6_1;
}

std::uint32_t last_feature(Profile profile) {
  return profile == Profile::linux_6_1 ? abi::vfio_device_feature_dma_logging_report
                                       : abi::vfio_device_feature_mig_precopy_info_v2;
}

Result<Answer> as_answered_by(Profile profile, FileKind kind, std::uint32_t command, Result<Answer> answer) {
  if (answer || profile != Profile::linux_6_1) return answer;
  for (const Difference& difference : differences)
    if (difference.kind == kind && difference.command == command &&
        difference.linux_7_2 == answer.error().code)
      answer.error().code = difference.linux_6_1;
  return answer;
}

}  // namespace umdev::ioctl
