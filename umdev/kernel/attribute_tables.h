// A driver's attribute groups (struct attribute_group) as the device model takes them.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "include/umdev/kernel/umdev/objects.h"
#include "umdev/device/attribute_group.h"

namespace umdev::kernel {

class Module;

// Lives as long as the devices that show it. show and store of the driver run on the thread that reads or
// writes the attribute, and may wait.
class AttributeTables {
 public:
  // The module's structure for a device of the model, kept; null when it is not there any more.
  using Resolve = std::shared_ptr<::device> (*)(device::Device&);

  // `groups` is a list that ends with null, or null.
  AttributeTables(Module& module, const ::attribute_group* const* groups, Resolve resolve);
  AttributeTables(const AttributeTables&) = delete;
  AttributeTables& operator=(const AttributeTables&) = delete;

  device::AttributeGroups groups() const { return pointers_; }

 private:
  struct Source {
    const AttributeTables* tables;
    const ::attribute_group* group;
    ::attribute* attribute;
    int index;
  };
  static Result<std::string> show(device::Device& device, const device::DeviceAttribute& attribute);
  static void store(device::Device& device, const device::DeviceAttribute& attribute, std::string_view text,
                    Done<std::size_t> done);
  static tree::Mode is_visible(const device::Device& device, const device::DeviceAttribute& attribute);

  Module& module_;
  const Resolve resolve_;
  std::deque<Source> sources_;
  std::deque<std::vector<device::DeviceAttribute>> attributes_;
  std::deque<device::AttributeGroup> groups_;
  std::vector<const device::AttributeGroup*> pointers_;
};

}  // namespace umdev::kernel
