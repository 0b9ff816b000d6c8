// TOML as JSON, so that there is one reader of desired states, and the lines that JSON has lost.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>

namespace umdev::manage {

// Where a value stood. A place is its path in the document: "/instances/0/type".
class LineFinder {
 public:
  void add(std::string place, std::size_t line) { lines_.emplace(std::move(place), line); }
  // Its own line, or that of what it is missing in; 0 when nothing is known.
  std::size_t line_of(std::string place) const;

 private:
  std::map<std::string, std::size_t> lines_;
};

struct TomlDocument {
  std::string json;
  LineFinder lines;
};

// Errors begin with ":LINE: ". Dates and times, and numbers that JSON does not have, are refused.
std::expected<TomlDocument, std::string> read_toml(std::string_view text);

}  // namespace umdev::manage
