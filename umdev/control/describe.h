// The world as JSON text. Field names are a contract: nothing is renamed or taken away, only added.
#pragma once

#include <string>

#include "umdev/control/doors.h"
#include "umdev/manage/definitions.h"
#include "umdev/manage/metrics.h"
#include "umdev/mdev/bus.h"

namespace umdev::control {

// Any thread. A driver is asked (how many instances are available, what its regions are) with no lock held.

// [{"name", "path", "types": [ID...], "instances"}]
std::string describe_parents(const mdev::Bus& bus);
// [{"parent", "type", "name", "description", "device_api", "available_instances", "instances"}]
std::string describe_types(const mdev::Bus& bus);
// [{"uuid", "parent", "type", "state", "open_files", "socket", "owner"}], in the order of the UUIDs
std::string describe_instances(const mdev::Bus& bus, const Doors& doors);
// One of those, with "name", "device_api", "path", "iommu_group", "vfio_device", "regions", "irqs" and
// "sessions", and "definition" (describe_definitions.h) where it has one of its own. ENODEV.
Result<std::string> describe_instance(const mdev::Bus& bus, const Doors& doors, const Uuid& uuid,
                                      const std::vector<manage::DefinitionReport>& definitions);
// {"version", "pid", "parents", "instances", "sessions": [...], the doors' groups of numbers, and "metrics":
// [{"name", "kind", "help", "values": [{"labels", "value"}]}]}. A histogram's values have, in place of a
// value, "count", "sum", "p50" and "p99" (bounds of buckets; null beyond the last), in seconds, and
// "buckets":
// [{"le", "count"}], cumulative, where the count grows.
std::string describe_status(const mdev::Bus& bus, const Doors& doors, std::string_view version,
                            const manage::MetricSet& metrics);

}  // namespace umdev::control
