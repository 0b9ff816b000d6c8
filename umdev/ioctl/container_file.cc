#include "umdev/ioctl/container_file.h"

#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/type1_commands.h"
#include "umdev/iommu/container_commands.h"
#include "umdev/vfio/core.h"

namespace umdev::ioctl {
namespace {

// A command that may complete later, on its way to the profile's answer.
struct UnderWay {
  std::shared_ptr<const World> world;
  std::uint32_t command;
  Done<Answer> done;
};

// The caller, as back ends know it.
class MemoryOfCaller final : public iommu::CallerMemory {
 public:
  explicit MemoryOfCaller(std::shared_ptr<Caller> caller) : caller_(std::move(caller)) {}
  Result<> read(std::uint64_t address, Bytes into) override { return caller_->read(address, into); }
  Result<> write(std::uint64_t address, ConstBytes from) override { return caller_->write(address, from); }

 private:
  const std::shared_ptr<Caller> caller_;
};

// Null where the container has no back end, or one that has calls for each command.
std::shared_ptr<iommu::ContainerCommands> commands_of(const vfio::Container& container) {
  const auto iommu = container.iommu();
  return iommu ? std::dynamic_pointer_cast<iommu::ContainerCommands>(*iommu) : nullptr;
}

}  // namespace

ContainerFile::~ContainerFile() {
  if (const auto commands = commands_of(*container_)) commands->container_closed();
}

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
  if (auto* const commands = dynamic_cast<iommu::ContainerCommands*>(iommu->get())) {
    commands->ioctl(command, argument, std::make_shared<MemoryOfCaller>(std::move(caller)),
                    [under_way](Result<std::int32_t> result) {
                      auto answer = result ? Result<Answer>(Answer{.value = *result})
                                           : Result<Answer>(std::unexpected(result.error()));
                      under_way->world->finish(FileKind::container, under_way->command, std::move(answer),
                                               under_way->done);
                    });
    return;
  }
  type1_command(std::move(*iommu), command, argument, std::move(caller), world_->core.limits(),
                [under_way](Result<Answer> answer) {
                  under_way->world->finish(FileKind::container, under_way->command, std::move(answer),
                                           under_way->done);
                });
}

void ContainerFile::read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner,
                         Done<std::size_t> done) {
  const auto commands = commands_of(*container_);
  if (!commands) return File::read(offset, into, std::move(owner), std::move(done));
  commands->read(offset, into, std::move(owner), std::move(done));
}

void ContainerFile::write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
                          Done<std::size_t> done) {
  const auto commands = commands_of(*container_);
  if (!commands) return File::write(offset, from, std::move(owner), std::move(done));
  commands->write(offset, from, std::move(owner), std::move(done));
}

Result<std::vector<MappedPiece>> ContainerFile::mmap(const MapRequest& request) {
  const auto commands = commands_of(*container_);
  if (!commands) return File::mmap(request);
  const auto extents = UMDEV_TRY(commands->mmap(request.offset, request.length, request.writable));
  std::vector<MappedPiece> pieces;
  for (const auto& extent : extents)
    pieces.push_back({.position = extent.position,
                      .fd = extent.fd,
                      .fd_offset = extent.fd_offset,
                      .length = extent.length});
  return pieces;
}

}  // namespace umdev::ioctl
