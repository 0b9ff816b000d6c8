#include "umdev/pci/slot.h"

#include <algorithm>
#include <utility>

#include "umdev/pci/pci_device.h"
#include "umdev/vfio/core.h"

namespace umdev::pci {
namespace {

bool in_same_slot(const Address& one, const Address& other) {
  return one.domain == other.domain && one.bus == other.bus && one.device == other.device;
}

bool is_virtual(const vfio::RegisteredDevice& device) {
  const auto stay = device.enter();
  const auto* const function = dynamic_cast<const PciDevice*>(&device.device());
  return function != nullptr && function->is_virtual();
}

}  // namespace

std::optional<Address> address_of(const vfio::RegisteredDevice& device) {
  for (const std::string& name : {device.second_name(), device.name()})
    if (const auto address = Address::parse(name)) return *address;
  return std::nullopt;
}

Result<std::vector<SlotFunction>> slot_of(const vfio::Core& core, const vfio::RegisteredDevice& device) {
  const auto own = address_of(device);
  if (!own) return fail(ENOTTY, "the device is no function of a PCI bus");
  if (is_virtual(device)) return fail(ENODEV, "a virtual function cannot be reset by its slot");
  std::vector<SlotFunction> slot;
  for (vfio::DeviceRef& each : core.devices()) {
    const auto address = address_of(*each);
    if (address && in_same_slot(*address, *own) && !is_virtual(*each))
      slot.push_back({.address = *address, .device = std::move(each)});
  }
  std::ranges::sort(slot, {}, [](const SlotFunction& one) { return one.address.function; });
  return slot;
}

}  // namespace umdev::pci
