// The world as JSON text. Field names are a contract: nothing is renamed or taken away, only added.
#pragma once

#include <string>

#include "umdev/control/doors.h"
#include "umdev/mdev/bus.h"

namespace umdev::control {

// Any thread. A driver is asked (how many instances are available, what its regions are) with no lock held.

// [{"name", "path", "types": [ID...], "instances"}]
std::string describe_parents(const mdev::Bus& bus);
// [{"parent", "type", "name", "description", "device_api", "available_instances", "instances"}]
std::string describe_types(const mdev::Bus& bus);
// [{"uuid", "parent", "type", "state", "open_files", "socket"}], in the order of the UUIDs
std::string describe_instances(const mdev::Bus& bus, const Doors& doors);
// One of those, with "name", "device_api", "owner", "path", "iommu_group", "vfio_device", "regions", "irqs"
// and "sessions". ENODEV.
Result<std::string> describe_instance(const mdev::Bus& bus, const Doors& doors, const Uuid& uuid);
// {"version", "pid", "parents", "instances", "sessions": [...], and the doors' groups of numbers}
std::string describe_status(const mdev::Bus& bus, const Doors& doors, std::string_view version);

}  // namespace umdev::control
