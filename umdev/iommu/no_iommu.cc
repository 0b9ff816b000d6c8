#include "umdev/iommu/no_iommu.h"

#include "umdev/abi/vfio.h"

namespace umdev::iommu {

namespace {

int no_iommu_extension(std::uint32_t extension) {
  return extension == abi::vfio_noiommu_iommu ? 1 : 0;
}

// Pins and dma_rw are ENOTTY by IommuInstance's defaults.
class NoIommuInstance final : public IommuInstance {
 public:
  int check_extension(std::uint32_t extension) const override { return no_iommu_extension(extension); }
  Result<> attach_group(const GroupAttachment&) override { return {}; }
  void detach_group(const GroupAttachment&) override {}
  Result<IommuInfo> info() const override { return fail(ENOTTY, "no-iommu has no such ioctl"); }
  Result<> map(MapRequest) override { return fail(ENOTTY, "no-iommu has no such ioctl"); }
  void unmap(const UnmapRequest&, Done<std::uint64_t> done) override {
    done(fail(ENOTTY, "no-iommu has no such ioctl"));
  }
};

}  // namespace

int NoIommuDriver::check_extension(std::uint32_t extension) const {
  return no_iommu_extension(extension);
}

Result<std::shared_ptr<IommuInstance>> NoIommuDriver::open(std::uint32_t type) {
  if (type != abi::vfio_noiommu_iommu) return fail(EINVAL, "not a type of this driver");
  return std::make_shared<NoIommuInstance>();
}

}  // namespace umdev::iommu
