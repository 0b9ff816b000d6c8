// JSON from files and clients, read without mercy: for the .cc files of this room.
#pragma once

#include <expected>
// house-rules: allow include: forward declarations only
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace umdev::manage {

// Refuses what is no JSON, a key that stands twice in an object, and nesting deeper than any of our formats
// has; the text begins with "line N: ".
std::expected<nlohmann::ordered_json, std::string> parse_strictly(std::string_view text);

// One line, valid UTF-8.
std::string to_line(const nlohmann::ordered_json& json);
// Indented by two, as mdevctl writes its files; with a newline at the end.
std::string to_lines(const nlohmann::ordered_json& json);

}  // namespace umdev::manage
