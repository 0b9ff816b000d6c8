// Where a function is on the PCI bus.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "umdev/support/error.h"

namespace umdev::pci {

struct Address {
  std::uint16_t domain = 0;
  std::uint8_t bus = 0;
  std::uint8_t device = 0;    // 0 to 31
  std::uint8_t function = 0;  // 0 to 7

  // "0000:00:05.0", lower case, as sysfs has it. EINVAL for anything else.
  static Result<Address> parse(std::string_view text);
  std::string to_string() const;
  // "0000:00": the bus that it is on.
  std::string root() const;
  // The function that comes so many behind this one, across the ends of devices and buses. ERANGE: it would
  // be behind the last bus.
  Result<Address> behind(unsigned functions) const;

  friend bool operator==(const Address&, const Address&) = default;
};

}  // namespace umdev::pci
