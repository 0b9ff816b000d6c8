// A fuzz target's input as a program: numbers and choices are taken from its front, and when it is at its end
// everything is 0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "umdev/support/bytes.h"

namespace umdev::test {

class StepReader {
 public:
  explicit StepReader(ConstBytes program) : rest_(program) {}

  bool at_end() const { return rest_.empty(); }

  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(rest_[0]);
    rest_ = rest_.subspan(1);
    return value;
  }
  // Little-endian; what is missing is 0.
  std::uint64_t little_endian(std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t at = 0; at < size; ++at) value |= std::uint64_t{byte()} << (8 * at);
    return value;
  }
  // Below `limit`, which is at most 256.
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : byte() % limit; }
  bool chance() { return (byte() & 1) != 0; }

  // A number as clients send them: mostly small (one byte below 0xe0: that many `unit`s), else one that is at
  // the edge of something, or any at all.
  std::uint64_t number(std::uint64_t unit) {
    constexpr std::uint8_t small = 0xe0;
    constexpr std::array<std::uint64_t, 28> edges{
        1,          2,          7,          8,          15,         16,         255,
        256,        4095,       4096,       4097,       65535,      65536,      0xfffff,
        1ULL << 20, 0x100001,   0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff, 1ULL << 32,
        1ULL << 40, 1ULL << 62, 1ULL << 63, ~0xfffULL,  ~0ULL - 15, ~0ULL - 1,  ~0ULL};
    const std::uint8_t first = byte();
    if (first < small) return first * unit;
    const std::size_t edge = first - small;
    return edge < edges.size() ? edges.at(edge) : little_endian(8);
  }

  // The next bytes, as many as there are.
  ConstBytes bytes(std::size_t count) {
    const ConstBytes taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  ConstBytes rest_;
};

}  // namespace umdev::test
