// Bytes as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/support/bytes.h"

namespace umdev {

inline std::string to_hex(ConstBytes bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    text += digits[value >> 4];
    text += digits[value & 0xf];
  }
  return text;
}

// Nothing for a text that is no whole number of bytes in hexadecimal digits.
inline std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> bytes(text.size() / 2);
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char digit = text[at];
    unsigned value = 0;
    if (digit >= '0' && digit <= '9')
      value = static_cast<unsigned>(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
      value = static_cast<unsigned>(digit - 'a') + 10;
    else if (digit >= 'A' && digit <= 'F')
      value = static_cast<unsigned>(digit - 'A') + 10;
    else
      return std::nullopt;
    bytes[at / 2] = (bytes[at / 2] << 4) | std::byte(value);
  }
  return bytes;
}

}  // namespace umdev
