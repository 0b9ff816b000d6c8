// Byte ranges and little-endian access to them. Nothing here reads past the end: out of range is said, not
// done.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace umdev {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

static_assert(std::endian::native == std::endian::little, "the loads below assume a little-endian host");

// Loads an integer at a byte offset, or nothing when it would not lie wholly inside.
template <std::unsigned_integral T>
std::optional<T> load_le(ConstBytes bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Stores an integer at a byte offset; false (and nothing stored) when it would not lie wholly inside.
template <std::unsigned_integral T>
[[nodiscard]] bool store_le(Bytes bytes, std::size_t offset, T value) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return false;
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
  return true;
}

// Copies a trivially copyable struct out of the front of `bytes`, or nothing when they are too short.
template <typename T>
  requires std::is_trivially_copyable_v<T>
std::optional<T> load_struct(ConstBytes bytes, std::size_t offset = 0) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// The bytes of a trivially copyable struct.
template <typename T>
  requires std::is_trivially_copyable_v<T>
ConstBytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// True when [offset, offset + count) lies inside [0, size), whatever the numbers: no sum can wrap.
constexpr bool range_fits(std::uint64_t offset, std::uint64_t count, std::uint64_t size) {
  return offset <= size && count <= size - offset;
}

}  // namespace umdev
