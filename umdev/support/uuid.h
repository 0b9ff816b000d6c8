// A UUID: the identity of a mediated device, one per host.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "umdev/support/error.h"

namespace umdev {

class Uuid {
 public:
  static constexpr std::size_t text_length = 36;

  Uuid() = default;
  explicit Uuid(const std::array<std::uint8_t, 16>& bytes) : bytes_(bytes) {}

  // Exactly 36 characters, 8-4-4-4-12 hexadecimal digits of either case with dashes between; no braces.
  // EINVAL otherwise.
  static Result<Uuid> parse(std::string_view text);

  // What the kernel's `create` attribute takes: 36 or 37 bytes, of which the 37th may be anything (a newline,
  // as a rule). EINVAL otherwise.
  static Result<Uuid> parse_create(std::string_view text);

  // Lower case, whatever case was parsed.
  std::string to_string() const;

  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  friend auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

}  // namespace umdev
