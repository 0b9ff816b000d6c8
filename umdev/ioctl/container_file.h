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
  // Tells the back end.
  ~ContainerFile() override;
  ContainerFile(const ContainerFile&) = delete;
  ContainerFile& operator=(const ContainerFile&) = delete;

  const std::shared_ptr<vfio::Container>& container() const { return container_; }

  // ^File
  FileKind kind() const override { return FileKind::container; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
             Done<Answer> done) override;
  void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) override;
  void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
             Done<std::size_t> done) override;
  Result<std::vector<MappedPiece>> mmap(const MapRequest& request) override;

 private:
  const std::shared_ptr<const World> world_;
  const std::shared_ptr<vfio::Container> container_;
};

}  // namespace umdev::ioctl
