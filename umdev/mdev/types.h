// The values that mediated devices are described with.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "umdev/support/uuid.h"

namespace umdev::mdev {

// How much of the parent's resources something takes: name and amount.
using Resources = std::vector<std::pair<std::string, std::uint64_t>>;

// A type that a parent offers. Its id is "<driver string of the parent>-<name>".
struct TypeSpec {
  std::string name;         // "1" of "mtty-1"
  std::string pretty_name;  // what people read; the name when empty
  std::string description;  // may hold several lines; no `description` file when empty
  std::string device_api;   // "vfio-pci" and its like: mandatory
  Resources cost;           // drawn from the parent's ledger for each instance
};

// Who made an instance.
struct Owner {
  std::uint32_t uid = 0;
  std::int32_t pid = 0;
  std::string door;  // "control", "tree", "api"
};

// What a creator says of its instance beyond the type, in order; the parent's driver knows the names.
using Attributes = std::vector<std::pair<std::string, std::string>>;

struct CreateRequest {
  std::string parent;  // its name in class/mdev_bus
  std::string type;    // the type's id
  Uuid uuid;
  Owner owner;
  Attributes attributes;
};

}  // namespace umdev::mdev
