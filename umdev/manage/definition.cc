#include "umdev/manage/definition.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "umdev/manage/strict_json.h"
#include "umdev/tree/attribute.h"

namespace umdev::manage {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* type_key = "mdev_type";
constexpr const char* start_key = "start";
constexpr const char* attributes_key = "attrs";
constexpr std::size_t name_max = 255;

Refused refuse(std::string text) {
  return Refused(std::move(text));
}

// A path below the device's directory: it names a file there, and nothing above or beside it.
bool is_attribute_name(std::string_view name) {
  if (name.size() > attribute_name_max) return false;
  for (std::size_t begin = 0;;) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part.size() > name_max || part == "." || part == ".." ||
        part.find('\0') != std::string_view::npos)
      return false;
    if (end == name.size()) return true;
    begin = end + 1;
  }
}

std::expected<mdev::Attributes, std::string> read_attributes(const Json& json) {
  if (json.is_null()) return mdev::Attributes();
  if (!json.is_array()) return refuse("\"attrs\" is no list");
  mdev::Attributes attributes;
  for (const Json& item : json) {
    if (!item.is_object() || item.empty())
      return refuse("an element of \"attrs\" is no object with an attribute's name and value");
    for (const auto& [name, value] : item.items()) {
      if (!is_attribute_name(name)) return refuse("\"" + name + "\" is no name of an attribute");
      if (!value.is_string()) return refuse("the value of the attribute \"" + name + "\" is no string");
      if (value.get_ref<const std::string&>().size() > tree::attribute_size)
        return refuse("the value of the attribute \"" + name + "\" is longer than an attribute takes");
      attributes.emplace_back(name, value.get<std::string>());
    }
  }
  if (attributes.size() > attributes_max) return refuse("too many attributes");
  return attributes;
}

Json write_attributes(const mdev::Attributes& attributes) {
  Json list = Json::array();
  for (const auto& [name, value] : attributes) list.push_back(Json{{name, value}});
  return list;
}

std::expected<std::string, std::string> read_word(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return refuse(std::string("\"") + key + "\" is missing");
  if (!found->is_string()) return refuse(std::string("\"") + key + "\" is no string");
  return found->get<std::string>();
}

}  // namespace

std::string_view to_string(Start start) {
  return start == Start::automatic ? "auto" : "manual";
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= name_max && name.front() != '.' &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool is_parent_name(std::string_view name) {
  return is_file_name(name) && name != "scripts.d";
}

std::expected<Definition, std::string> parse_definition(std::string_view text) {
  if (text.size() > definition_size_max) return refuse("it is too large");
  auto json = parse_strictly(text);
  if (!json) return refuse(std::move(json.error()));
  if (!json->is_object()) return refuse("it is no JSON object");
  Definition definition;
  auto type = read_word(*json, type_key);
  if (!type) return refuse(std::move(type.error()));
  if (!is_file_name(*type)) return refuse("\"mdev_type\" is no name of a type");
  definition.type = std::move(*type);
  const auto start = read_word(*json, start_key);
  if (!start) return refuse(start.error());
  if (*start != "auto" && *start != "manual") return refuse(R"("start" is neither "auto" nor "manual")");
  definition.start = *start == "auto" ? Start::automatic : Start::manual;
  if (json->contains(attributes_key)) {
    auto attributes = read_attributes((*json)[attributes_key]);
    if (!attributes) return refuse(std::move(attributes.error()));
    definition.attributes = std::move(*attributes);
  }
  for (const char* key : {type_key, start_key, attributes_key}) json->erase(key);
  definition.others = to_line(*json);
  return definition;
}

std::string format_definition(const Definition& definition) {
  Json json{{type_key, definition.type},
            {start_key, to_string(definition.start)},
            {attributes_key, write_attributes(definition.attributes)}};
  const Json others = Json::parse(definition.others, nullptr, /*allow_exceptions=*/false);
  if (others.is_object())
    for (const auto& [key, value] : others.items()) json[key] = value;
  return to_lines(json);
}

std::expected<mdev::Attributes, std::string> parse_attributes(std::string_view text) {
  const auto json = parse_strictly(text);
  if (!json) return refuse(json.error());
  return read_attributes(*json);
}

std::string format_attributes(const mdev::Attributes& attributes) {
  return to_line(write_attributes(attributes));
}

}  // namespace umdev::manage
