// For a device that takes part when its user's memory comes from an iommufd (bind_iommufd and its like of
// struct vfio_device_ops): a Device that is this too is asked, in the kernel's order, and answers the user.
// Of all others the framework binds and attaches what it is told to.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/support/done.h"

namespace umdev::vfio {

class IommufdUse;

// One call at a time, from the device set's queue, as open_device() and close_device(). An error is the
// user's. What takes longer than Limits::access_deadline faults the device.
//
// The work itself is the framework's (IommufdUse), and the device's to call for, as the kernel's drivers call
// vfio_iommufd_emulated_bind() and its like in their callbacks, before or after something of their own. One
// that does not call for it has its way: a device that has not bound itself can pin nothing (EINVAL), one
// that has not attached itself neither (ENOENT), and the user is answered what the device says.
class BindsIommufd {
 public:
  virtual ~BindsIommufd() = default;
  // False for one that leaves all of this to the framework after all; never changes.
  virtual bool binds_iommufd() const = 0;

  // Before open_device(). Answers the number that the user is told. After an error the device is not opened,
  // and not unbound.
  virtual void bind_iommufd(std::shared_ptr<IommufdUse> use, Done<std::uint32_t> done) = 0;
  // After close_device(), or an open_device() that failed. It is attached still where its user did not detach
  // it: IommufdUse::unbind() does that. What is left afterwards is taken.
  virtual void unbind_iommufd(Done<> done) = 0;

  // While it is open. `object` is what the user names, the answer what the user is told. In the place of a
  // container: once, behind open_device(), to the compatibility IOAS.
  virtual void attach_ioas(std::uint32_t object, Done<std::uint32_t> done) = 0;
  virtual void detach_ioas(Done<> done) = 0;

  // The same for one PASID of the device, which only a device knows how to do.
  virtual bool attaches_pasids() const { return false; }
  virtual void attach_pasid(std::uint32_t /*pasid*/, std::uint32_t /*object*/, Done<std::uint32_t> done) {
    done(fail(EOPNOTSUPP, "the device has no PASIDs"));
  }
  virtual void detach_pasid(std::uint32_t /*pasid*/, Done<> done) {
    done(fail(EOPNOTSUPP, "the device has no PASIDs"));
  }
};

}  // namespace umdev::vfio
