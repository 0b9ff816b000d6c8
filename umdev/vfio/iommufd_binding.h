// A device that is bound to an iommufd (VFIO_DEVICE_BIND_IOMMUFD): open, and attached to an IOAS or not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "umdev/iommu/iommufd.h"
#include "umdev/support/done.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/iommufd_steps.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// Ends the binding when it is destroyed: the device is closed, which detaches and unbinds it. Any thread.
class IommufdBinding {
 public:
  // EBUSY the device's group is open, or owned by somebody else; EINVAL the device is bound already; what the
  // device says to it (BindsIommufd); ENODEV it is being removed; the errors of DeviceFile::open.
  static void create(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<iommu::Iommufd> iommufd,
                     Done<std::shared_ptr<IommufdBinding>> done);
  IommufdBinding(const IommufdBinding&) = delete;
  IommufdBinding& operator=(const IommufdBinding&) = delete;

  // The number that its user is told.
  std::uint32_t id() const { return steps_->id(); }
  const std::shared_ptr<DeviceFile>& file() const { return file_; }
  const std::shared_ptr<iommu::Iommufd>& iommufd() const { return steps_->iommufd(); }

  // VFIO_DEVICE_ATTACH_IOMMUFD_PT and DETACH_IOMMUFD_PT, of the device or of one of its PASIDs: as
  // IommufdSteps says, one after another with opens, closes and resets of the device.
  using Pasid = std::optional<std::uint32_t>;
  void attach(std::uint32_t object, Pasid pasid, Done<std::uint32_t> done);
  void detach(Pasid pasid, Done<> done);
  // Whether the device can be asked for PASIDs at all. Any thread.
  bool attaches_pasids() const { return steps_->attaches_pasids(); }

 private:
  IommufdBinding(std::shared_ptr<IommufdSteps> steps, std::shared_ptr<DeviceFile> file)
      : steps_(std::move(steps)), file_(std::move(file)) {}
  template <typename T, typename Step>
  void in_turn(Step step, Done<T> done);

  const std::shared_ptr<IommufdSteps> steps_;
  const std::shared_ptr<DeviceFile> file_;
};

}  // namespace umdev::vfio
