// Whose a device or a definition is, and who may change it.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace umdev::manage {

// What a definition's file cannot say, since mdevctl would lose it: beside it, under the same name.
struct Mark {
  std::uint32_t uid = 0;  // who defined it
  std::string set;        // the desired state that it belongs to (`umdev apply`); empty: none

  friend bool operator==(const Mark&, const Mark&) = default;
};

// {"uid": 1000, "set": "ci"}; strict.
std::expected<Mark, std::string> parse_mark(std::string_view text);
std::string format_mark(const Mark& mark);

// The name of a set: a word of letters, digits, '-', '_' and '.', at most 64.
bool is_set_name(std::string_view name);

// Everybody may change what is their own; root and the daemon's own user may change everything.
constexpr bool may_change(std::uint32_t caller, std::uint32_t owner, std::uint32_t daemon) {
  return caller == owner || caller == 0 || caller == daemon;
}

}  // namespace umdev::manage
