// An open of /dev/vfio/vfio.
#pragma once

#include <memory>

#include "umdev/ioctl/world.h"
#include "umdev/vfio/container.h"

namespace umdev::ioctl {

class ContainerFile final : public File {
 public:
  ContainerFile(std::shared_ptr<const World> world, std::shared_ptr<vfio::Container> container)
      : world_(std::move(world)), container_(std::move(container)) {}

  const std::shared_ptr<vfio::Container>& container() const { return container_; }

  // ^File
  FileKind kind() const override { return FileKind::container; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
             Done<Answer> done) override;

 private:
  const std::shared_ptr<const World> world_;
  const std::shared_ptr<vfio::Container> container_;
};

}  // namespace umdev::ioctl
