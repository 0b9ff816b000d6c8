// Attributes of devices as tables, as the kernel's struct device_attribute and struct attribute_group: one
// table serves any number of devices, so that an attribute costs an instance little more than its node.
#pragma once

#include <span>
#include <string_view>

#include "umdev/tree/transaction.h"

namespace umdev::device {

class Device;

struct DeviceAttribute {
  std::string_view name;
  tree::Mode mode = 0444;
  // As tree::Attribute's; either may be null (EIO). They get the attribute too, so that one function can
  // serve several of them.
  Result<std::string> (*show)(Device&, const DeviceAttribute&) = nullptr;
  void (*store)(Device&, const DeviceAttribute&, std::string_view text, Done<std::size_t> done) = nullptr;
  const void* context = nullptr;  // the table's own
};

// Must outlive the devices that show it.
struct AttributeGroup {
  std::string_view name = {};  // the subdirectory it makes; none when empty
  std::span<const DeviceAttribute> attributes = {};
  // Asked once for each attribute, when the group is added: the mode, 0 to leave it out. Null: as the
  // attribute says. A named group of which nothing is visible makes its directory all the same, as in the
  // kernel.
  tree::Mode (*is_visible)(const Device&, const DeviceAttribute&) = nullptr;
};

using AttributeGroups = std::span<const AttributeGroup* const>;

// Adds the groups to the device's directory, as part of the transaction.
void stage_groups(tree::Transaction& transaction, const tree::Directory& directory,
                  const std::shared_ptr<Device>& device, AttributeGroups groups);

}  // namespace umdev::device
