// For a parent's driver with files of its own in its types' directories, beside the documented ones
// (vendor-specific attributes, sysfs-bus-vfio-mdev): a ParentDriver that is this too is asked for them.
#pragma once

#include <vector>

#include "umdev/tree/attribute.h"

namespace umdev::mdev {

class Type;

class TypeAttributes {
 public:
  virtual ~TypeAttributes() = default;
  // Once for each type, while the parent is being registered. What they give away must not be asked for after
  // the end of that registration, which waits for them.
  virtual std::vector<tree::AttributeSpec> attributes_of(const Type& type) = 0;
};

}  // namespace umdev::mdev
