// The functions of one slot of the PCI bus: what a hot reset resets together.
#pragma once

#include <optional>
#include <vector>

#include "umdev/pci/address.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {
class Core;
}

namespace umdev::pci {

// Where a device that is registered with VFIO is on the bus: it is shown there, or registered by its address.
std::optional<Address> address_of(const vfio::RegisteredDevice& device);

struct SlotFunction {
  Address address;
  vfio::DeviceRef device;
};

// All functions of the device's slot, itself among them, by their numbers; virtual ones are in no slot.
// ENOTTY: it is on no PCI bus; ENODEV: it is a virtual function, which nothing resets together with others.
Result<std::vector<SlotFunction>> slot_of(const vfio::Core& core, const vfio::RegisteredDevice& device);

}  // namespace umdev::pci
