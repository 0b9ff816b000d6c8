#include "umdev/pci/address.h"

#include <charconv>
#include <cstdio>

namespace umdev::pci {
namespace {

constexpr std::size_t length = sizeof("0000:00:00.0") - 1;

std::string format(const char* form, unsigned domain, unsigned bus, unsigned device = 0,
                   unsigned function = 0) {
  char text[32];
  const int written = std::snprintf(text, sizeof text, form, domain, bus, device, function);
  return {text, static_cast<std::size_t>(written)};
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  const auto number = [&](std::size_t at, std::size_t digits) {
    unsigned value = 0;
    if (text.size() == length) std::from_chars(text.data() + at, text.data() + at + digits, value, 16);
    return value;
  };
  const Address address{.domain = static_cast<std::uint16_t>(number(0, 4)),
                        .bus = static_cast<std::uint8_t>(number(5, 2)),
                        .device = static_cast<std::uint8_t>(number(8, 2)),
                        .function = static_cast<std::uint8_t>(number(11, 1))};
  // Whatever was not quite a number, or not in its place, does not come back as it was.
  if (address.device > 31 || address.function > 7 || address.to_string() != text)
    return fail(EINVAL, "not the address of a PCI function, as 0000:00:05.0");
  return address;
}

std::string Address::to_string() const {
  return format("%04x:%02x:%02x.%x", domain, bus, device, function);
}

std::string Address::root() const {
  return format("%04x:%02x", domain, bus);
}

Result<Address> Address::behind(unsigned functions) const {
  const std::uint64_t number = (bus << 8U | device << 3U | function) + std::uint64_t{functions};
  if (number > 0xffff) return fail(ERANGE, "there is no bus behind the last one");
  return Address{.domain = domain,
                 .bus = static_cast<std::uint8_t>(number >> 8),
                 .device = static_cast<std::uint8_t>(number >> 3 & 31U),
                 .function = static_cast<std::uint8_t>(number & 7U)};
}

}  // namespace umdev::pci
