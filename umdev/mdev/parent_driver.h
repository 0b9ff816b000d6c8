// The vendor's side: what the driver of a physical device implements to offer mediated devices (the kernel's
// mdev_parent_ops).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "umdev/device/attribute_group.h"
#include "umdev/mdev/types.h"
#include "umdev/support/done.h"
#include "umdev/support/host.h"
#include "umdev/vfio/device.h"

namespace umdev::mdev {

class Instance;
class Type;

// Threads: all functions may be called from any thread, several at once, with no lock of the framework held:
// two creates, a create and a remove, and anything of the devices really run in parallel. Lifetime: the bus
// owns it; it is destroyed after the parent was unregistered and its last instance has gone.
class ParentDriver {
 public:
  virtual ~ParentDriver() = default;

  // Makes the device of a new instance, complete. Completes inline or later; an error is the error of the
  // creation, and nothing of the instance is left. The type's cost has been drawn already. After
  // Limits::access_deadline the creation fails with ETIMEDOUT; a device that comes later is destroyed. `host`
  // outlives the device, `type` outlives its instances, `request` is valid until create() returns.
  //
  // Called again for an instance whose bus driver was unbound and is bound once more, since the device of the
  // first binding went with it. The end of each is the device's destructor.
  virtual void create(const CreateRequest& request, const Type& type, DeviceHost& host,
                      Done<std::unique_ptr<vfio::Device>> done) = 0;

  // Asks whether an instance may be removed. EBUSY refuses (the vendor does not support unplugging it in
  // use), unless `forced`: then the answer does not count. Asked, not told: what was agreed to may yet be
  // called off, as when the device is found in use under RemovePolicy::busy, and is asked again next time.
  virtual Result<> remove(Instance& /*instance*/, bool /*forced*/) { return {}; }

  // How many more instances of the type can be made at this moment. Nothing: the parent's ledger says.
  virtual std::optional<std::uint32_t> available(const Type& /*type*/) const { return std::nullopt; }

  // The vendor's attributes: of the parent's directory (dev_attr_groups) and of each instance
  // (mdev_attr_groups). The tables must outlive the driver's module; Instance::from() finds the instance in a
  // show or store.
  virtual device::AttributeGroups parent_groups() const { return {}; }
  virtual device::AttributeGroups instance_groups() const { return {}; }
};

}  // namespace umdev::mdev
