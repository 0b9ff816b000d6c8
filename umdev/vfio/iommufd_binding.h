// A device that is bound to an iommufd (VFIO_DEVICE_BIND_IOMMUFD): open, and attached to an IOAS or not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "umdev/iommu/iommufd.h"
#include "umdev/support/done.h"
#include "umdev/support/uuid.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// Ends the binding when it is destroyed: the device is closed, then detached. Any thread.
class IommufdBinding {
 public:
  // EBUSY the device's group is open, or owned by somebody else; EINVAL the device is bound already; the
  // errors of DeviceFile::open.
  static void create(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<iommu::Iommufd> iommufd,
                     Done<std::shared_ptr<IommufdBinding>> done);
  ~IommufdBinding();
  IommufdBinding(const IommufdBinding&) = delete;
  IommufdBinding& operator=(const IommufdBinding&) = delete;

  // Its number in the iommufd.
  std::uint32_t id() const { return id_; }
  const std::shared_ptr<DeviceFile>& file() const { return file_; }
  const std::shared_ptr<iommu::Iommufd>& iommufd() const { return iommufd_; }

  // VFIO_DEVICE_ATTACH_IOMMUFD_PT and DETACH_IOMMUFD_PT: Iommufd::attach and detach, one after another with
  // opens, closes and resets of the device.
  void attach(std::uint32_t object, Done<std::uint32_t> done);
  void detach(Done<> done);

 private:
  IommufdBinding(std::shared_ptr<iommu::Iommufd> iommufd, std::uint32_t id, std::shared_ptr<DeviceFile> file)
      : iommufd_(std::move(iommufd)), id_(id), file_(std::move(file)) {}

  const std::shared_ptr<iommu::Iommufd> iommufd_;
  const std::uint32_t id_;
  std::shared_ptr<DeviceFile> file_;
};

}  // namespace umdev::vfio
