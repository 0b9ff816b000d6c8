// The steps by which a device comes to an iommufd and leaves it again, in the kernel's order: by its own node
// (VFIO_DEVICE_BIND_IOMMUFD), or by its group, where an iommufd stands in a container's place.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "umdev/support/done.h"
#include "umdev/vfio/binds_iommufd.h"
#include "umdev/vfio/iommufd_use.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// Of one open of a device. A device that is BindsIommufd is asked, for any other the framework does it, as
// for one without an IOMMU, which the kernel does not ask either. All but the constructor on the device set's
// queue.
class IommufdSteps : public std::enable_shared_from_this<IommufdSteps> {
 public:
  enum class Way : std::uint8_t {
    node,   // the user attaches it
    group,  // it is attached when it is opened
  };
  // Shared, as steps outlive who asks for them.
  IommufdSteps(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<iommu::Iommufd> iommufd, Way way);

  // Is the device one that is asked?
  static bool asks(RegisteredDevice& device) { return asked_part_of(device) != nullptr; }

  const std::shared_ptr<iommu::Iommufd>& iommufd() const { return use_->iommufd(); }
  const std::shared_ptr<iommu::IoasAccess>& access() const { return use_->access(); }
  // The number that the user is told; from bind() on.
  std::uint32_t id() const { return id_; }

  // Before the device is opened. After an error there is nothing to undo.
  void bind(Done<> done);
  // When it is open. Does nothing for one that comes by its own node. ENODEV: the iommufd has no
  // compatibility IOAS.
  void attach_at_open(Done<> done);
  // After its close. Success; an error of the driver's is in the log.
  void unbind(Done<> done);
  // Afterwards, before and after its user leaves the memory: IommufdUse::close() and give_back().
  void close() { use_->close(); }
  void give_back() { use_->give_back(); }

  // What the user names, and is told. ENODEV: the device was closed; EIO: it is faulted; and what the device
  // says, or Iommufd::attach.
  void attach(std::uint32_t object, Done<std::uint32_t> done);
  // Success also where it is attached nowhere. After an error it is detached all the same.
  void detach(Done<> done);
  // EOPNOTSUPP: the device has none.
  void attach_pasid(std::uint32_t pasid, std::uint32_t object, Done<std::uint32_t> done);
  void detach_pasid(std::uint32_t pasid, Done<> done);
  // Any thread.
  bool attaches_pasids() const { return attaches_pasids_; }

 private:
  static BindsIommufd* asked_part_of(RegisteredDevice& device);
  template <typename T, typename Begin>
  void ask(std::string_view too_long, Begin begin, Done<T> done);
  Result<> usable() const;

  const std::shared_ptr<RegisteredDevice> device_;
  const std::shared_ptr<IommufdUse> use_;
  BindsIommufd* const own_;  // null: the framework does it. Not to be looked at but while it is bound
  const bool attaches_pasids_;
  const Way way_;
  std::uint32_t id_ = 0;
  bool bound_ = false;
};

}  // namespace umdev::vfio
