#include "umdev/manage/desired_toml.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "umdev/manage/strict_json.h"

namespace umdev::manage {
namespace {

using Json = nlohmann::ordered_json;

// Depth-first; the parser bounds the depth (toml++ refuses more than 256 levels).
class Converter {
 public:
  explicit Converter(LineFinder& lines) : lines_(lines) {}

  Json convert(const toml::node& node, const std::string& place) {
    lines_.add(place, node.source().begin.line);
    if (const auto* table = node.as_table()) {
      Json json = Json::object();
      for (const auto& [key, value] : *table) {
        const std::string name(key.str());
        std::string below = place;
        below.append("/").append(name);
        lines_.add(below, key.source().begin.line);
        json[name] = convert(value, below);
      }
      return json;
    }
    if (const auto* array = node.as_array()) {
      Json json = Json::array();
      for (const toml::node& item : *array)
        json.push_back(convert(item, place + "/" + std::to_string(json.size())));
      return json;
    }
    return convert_value(node);
  }
  std::size_t refused_line() const { return refused_line_; }

 private:
  Json convert_value(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) return *text;
    if (const auto number = node.value_exact<std::int64_t>()) return *number;
    if (const auto truth = node.value_exact<bool>()) return *truth;
    if (const auto number = node.value_exact<double>(); number && std::isfinite(*number)) return *number;
    if (refused_line_ == 0) refused_line_ = node.source().begin.line;
    return nullptr;
  }

  LineFinder& lines_;
  std::size_t refused_line_ = 0;
};

}  // namespace

std::size_t LineFinder::line_of(std::string place) const {
  for (;;) {
    if (const auto found = lines_.find(place); found != lines_.end()) return found->second;
    const std::size_t slash = place.rfind('/');
    if (slash == std::string::npos) return 0;
    place.resize(slash);
  }
}

std::expected<TomlDocument, std::string> read_toml(std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return std::unexpected(":" + std::to_string(error.source().begin.line) + ": " +
                           std::string(error.description()));
  }
  TomlDocument document;
  Converter converter(document.lines);
  const Json json = converter.convert(parsed.table(), "");
  if (converter.refused_line() != 0)
    return std::unexpected(":" + std::to_string(converter.refused_line()) +
                           ": neither a date nor such a number has a place here");
  document.json = to_line(json);
  return document;
}

}  // namespace umdev::manage
