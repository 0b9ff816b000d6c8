// The one table of the drivers that this daemon has.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"

namespace umdev::daemon {

// A number that the configuration may give a parent.
struct DriverOption {
  std::string_view key;
  std::uint32_t fallback;
  std::uint32_t min;
  std::uint32_t max;
  std::string_view meaning;
};

// What a parent is registered with; the device is still to be put in.
struct MadeParent {
  mdev::ParentSpec spec;
  std::unique_ptr<mdev::ParentDriver> driver;
};

struct DriverEntry {
  std::string_view name;  // also the class of its parents: devices/virtual/NAME/...
  std::span<const DriverOption> options;
  // One value for each option, in their order.
  MadeParent (*make)(std::span<const std::uint32_t> values);
};

std::span<const DriverEntry> all_drivers();
// Null when there is none.
const DriverEntry* find_driver(std::string_view name);

}  // namespace umdev::daemon
