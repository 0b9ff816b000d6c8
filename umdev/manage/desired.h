// A desired state: a file that says which devices a host is to have.
//
//   set = "ci"                  # what it makes belongs to this set; it touches nothing else
//
//   [[instances]]
//   parent = "mtty"
//   type = "mtty-2"
//   count = 3                   # that many, under whatever UUIDs; or
//   uuids = ["83b8..."]         # these
//   autostart = true            # bring them back when the daemon starts (the default)
//   attrs = [{ "NAME" = "VALUE" }]
//
// The same as JSON: {"set": "ci", "instances": [{"parent": "mtty", ...}]}.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/manage/definition.h"

namespace umdev::manage {

// Devices that one file may ask for, all together.
inline constexpr std::uint32_t desired_max = 65536;

// Devices of one kind.
struct DesiredGroup {
  std::string parent;
  std::string type;
  std::uint32_t count = 0;
  std::vector<Uuid> uuids;  // not empty: these, and `count` does not count
  Start start = Start::automatic;
  mdev::Attributes attributes;

  friend bool operator==(const DesiredGroup&, const DesiredGroup&) = default;
};

struct DesiredState {
  std::string set;
  std::vector<DesiredGroup> groups;

  friend bool operator==(const DesiredState&, const DesiredState&) = default;
};

// Strict: an unknown key is refused, not a silent default. Errors are "FILE:LINE: KEY: what is wrong", or
// "FILE: ..." where JSON has no line to give.
std::expected<DesiredState, std::string> parse_desired_toml(std::string_view text, std::string_view file);
std::expected<DesiredState, std::string> parse_desired_json(std::string_view text, std::string_view file);
// By its name: ".json", else TOML. Reads the file.
std::expected<DesiredState, std::string> read_desired(const std::string& path);

// JSON in one line, as parse_desired_json() takes it.
std::string format_desired(const DesiredState& state);

}  // namespace umdev::manage
