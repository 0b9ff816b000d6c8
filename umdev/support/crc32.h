// CRC-32 as in zlib and Ethernet.
#pragma once

#include <array>
#include <cstdint>

#include "umdev/support/bytes.h"

namespace umdev {

// The CRC of `bytes`; with the CRC of what came before them, that of both.
constexpr std::uint32_t crc32(ConstBytes bytes, std::uint32_t before = 0) {
  constexpr auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t byte = 0; byte < entries.size(); ++byte) {
      std::uint32_t value = byte;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? (value >> 1) ^ 0xedb88320U : value >> 1;
      entries[byte] = value;
    }
    return entries;
  }();
  std::uint32_t value = ~before;
  for (const std::byte byte : bytes)
    value = (value >> 8) ^ table[(value ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
  return ~value;
}

}  // namespace umdev
