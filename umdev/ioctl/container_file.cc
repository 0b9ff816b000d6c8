#include "umdev/ioctl/container_file.h"

#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/type1_commands.h"
#include "umdev/vfio/core.h"

namespace umdev::ioctl {
namespace {

// A command that may complete later, on its way to the profile's answer.
struct UnderWay {
  std::shared_ptr<const World> world;
  std::uint32_t command;
  Done<Answer> done;
};

}  // namespace

void ContainerFile::ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
                          Done<Answer> done) {
  switch (command) {
    case abi::vfio_get_api_version:
      return done(Answer{.value = abi::vfio_api_version});
    case abi::vfio_check_extension:
      return done(Answer{.value = container_->check_extension(static_cast<std::uint32_t>(argument))});
    case abi::vfio_set_iommu:
      return done(success(container_->set_iommu(static_cast<std::uint32_t>(argument))));
    default:
      break;
  }
  auto iommu = container_->iommu();
  if (!iommu) return done(std::unexpected(iommu.error()));
  auto under_way = std::make_shared<UnderWay>(world_, command, std::move(done));
  type1_command(std::move(*iommu), command, argument, std::move(caller), world_->core.limits(),
                [under_way](Result<Answer> answer) {
                  under_way->world->finish(FileKind::container, under_way->command, std::move(answer),
                                           under_way->done);
                });
}

}  // namespace umdev::ioctl
