// What is behind the nodes: how they are opened.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/ioctl/caller.h"
#include "umdev/ioctl/file.h"
#include "umdev/ioctl/nodes.h"

namespace umdev::uapi {

// As ioctl::Nodes, whose place another may take. Any thread.
class Opener {
 public:
  virtual ~Opener() = default;
  virtual Result<std::shared_ptr<ioctl::File>> open_container(const ioctl::Credentials& credentials) = 0;
  virtual Result<std::shared_ptr<ioctl::File>> open_group(std::uint32_t number,
                                                          const ioctl::Credentials& credentials) = 0;
  virtual Result<std::shared_ptr<ioctl::File>> open_device(std::uint32_t index,
                                                           const ioctl::Credentials& credentials) = 0;
  virtual Result<std::shared_ptr<ioctl::File>> open_iommufd(const ioctl::Credentials& credentials) = 0;
};

// The core's own.
class CoreOpener final : public Opener {
 public:
  explicit CoreOpener(vfio::Core& core) : nodes_(core) {}
  Result<std::shared_ptr<ioctl::File>> open_container(const ioctl::Credentials& credentials) override {
    return nodes_.open_container(credentials);
  }
  Result<std::shared_ptr<ioctl::File>> open_group(std::uint32_t number,
                                                  const ioctl::Credentials& credentials) override {
    return nodes_.open_group(number, credentials);
  }
  Result<std::shared_ptr<ioctl::File>> open_device(std::uint32_t index,
                                                   const ioctl::Credentials& credentials) override {
    return nodes_.open_device(index, credentials);
  }
  Result<std::shared_ptr<ioctl::File>> open_iommufd(const ioctl::Credentials& credentials) override {
    return nodes_.open_iommufd(credentials);
  }

 private:
  ioctl::Nodes nodes_;
};

}  // namespace umdev::uapi
