// An open device: what VFIO_GROUP_GET_DEVICE_FD returns, and an open of /dev/vfio/devices/vfioN.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/ioctl/world.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/iommufd_binding.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::ioctl {

// Regions lie in the file where the device says; a program that knows vfio-pci's offsets by heart (index <<
// 40) finds them there as well.
class RegionMap {
 public:
  struct Place {
    std::uint32_t index = 0;
    std::uint64_t position = 0;  // in the region
    std::uint64_t size = 0;      // of the region
  };

  static RegionMap of(const vfio::DeviceFile& device);
  // EINVAL: no region is there. A region of size 0 has a place at its index.
  Result<Place> find(std::uint64_t offset) const;

 private:
  struct Region {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  std::vector<Region> regions_;  // by index
};

class DeviceNode final : public File, public std::enable_shared_from_this<DeviceNode> {
 public:
  // One that a group's container gives memory to.
  static std::shared_ptr<DeviceNode> of_group(std::shared_ptr<const World> world,
                                              std::shared_ptr<vfio::DeviceFile> device);

  // An open of the device's own node: it answers nothing but BIND_IOMMUFD until it is bound, and stays
  // registered as long as this lives.
  static std::shared_ptr<DeviceNode> of_cdev(std::shared_ptr<const World> world, vfio::DeviceRef device);

  // ^File
  FileKind kind() const override { return FileKind::device; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
             Done<Answer> done) override;
  void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) override;
  void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
             Done<std::size_t> done) override;
  Result<std::vector<MappedPiece>> mmap(const MapRequest& request) override;

 private:
  // What an open device is; there is none before a binding.
  struct Opened {
    std::shared_ptr<vfio::DeviceFile> device;
    RegionMap regions;
    bool is_pci = false;
  };
  struct Access {
    RegionMap::Place place;
    std::size_t count = 0;
  };
  DeviceNode(std::shared_ptr<const World> world, vfio::DeviceRef reference)
      : world_(std::move(world)), reference_(std::move(reference)) {}

  // Once. From now on the device answers.
  void set_opened(std::shared_ptr<vfio::DeviceFile> device);
  Result<const Opened*> opened() const;
  static Result<Access> find_access(const Opened& opened, std::uint64_t offset, std::size_t size);

  // The commands of a device's own node (device_binding.cc).
  void bind(std::shared_ptr<Caller> caller, UserAddress argument, Done<Answer> done);
  Result<> check_bind(Caller& caller, UserAddress argument, std::shared_ptr<iommu::Iommufd>& iommufd);
  void attach(std::shared_ptr<Caller> caller, UserAddress argument, Done<Answer> done);
  void detach(Caller& caller, UserAddress argument, Done<Answer> done);

  const std::shared_ptr<const World> world_;
  const vfio::DeviceRef reference_;  // of the device's own node; empty for a group's device
  std::atomic<bool> binding_begun_ = false;
  // In this order: the device is closed before its binding ends.
  std::shared_ptr<vfio::IommufdBinding> binding_;  // written before `opened_` is
  std::unique_ptr<const Opened> storage_;          // written before `opened_` is
  std::atomic<const Opened*> opened_ = nullptr;
};

}  // namespace umdev::ioctl
