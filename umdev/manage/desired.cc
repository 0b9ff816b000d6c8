#include "umdev/manage/desired.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "umdev/manage/desired_toml.h"
#include "umdev/manage/ownership.h"
#include "umdev/manage/strict_json.h"

namespace umdev::manage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 2> top_keys{"set", "instances"};
constexpr std::array<std::string_view, 6> group_keys{"parent", "type",      "count",
                                                     "uuids",  "autostart", "attrs"};

// A desired state is read once, so its reader is an object with what it has found so far. Lines come from
// whoever knows them: TOML does, JSON does not.
class Reader {
 public:
  Reader(std::string_view file, const LineFinder& lines) : file_(file), lines_(lines) {}

  std::expected<DesiredState, std::string> read(const Json& json) {
    if (!json.is_object()) return refuse("", "", "it is no object");
    for (const auto& [key, value] : json.items())
      if (!contains(top_keys, key))
        return refuse("/" + key, key, "unknown key; there are \"set\" and [[instances]]");
    const auto set = json.find("set");
    if (set == json.end() || !set->is_string() || !is_set_name(set->get_ref<const std::string&>()))
      return refuse("/set", "set", "a word of letters, digits, '-', '_' and '.', at most 64");
    state_.set = set->get<std::string>();
    const auto groups = json.find("instances");
    if (groups == json.end()) return std::move(state_);
    if (!groups->is_array())
      return refuse("/instances", "instances", "write [[instances]], with two brackets");
    for (std::size_t index = 0; index < groups->size(); ++index) {
      where_ = "/instances/" + std::to_string(index);
      if (auto added = add_group((*groups)[index]); !added) return Refused(added.error());
    }
    return std::move(state_);
  }

 private:
  using Read = std::expected<void, std::string>;

  Refused refuse(const std::string& place, std::string_view key, std::string_view what) const {
    std::string text(file_);
    if (const std::size_t line = lines_.line_of(place); line > 0) text += ":" + std::to_string(line);
    text += ": ";
    if (!key.empty()) text += std::string(key) + ": ";
    return Refused(text + std::string(what));
  }
  Refused unfit(std::string_view key, std::string_view what) const {
    return refuse(where_ + "/" + std::string(key), key, what);
  }

  template <std::size_t size>
  static bool contains(const std::array<std::string_view, size>& keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  }

  Read add_group(const Json& json) {
    if (!json.is_object()) return refuse(where_, "instances", "each of them is a table");
    for (const auto& [key, value] : json.items())
      if (!contains(group_keys, key)) return unfit(key, "unknown key");
    DesiredGroup group;
    if (auto named = read_name(json, "parent", group.parent); !named) return named;
    if (auto named = read_name(json, "type", group.type); !named) return named;
    if (json.contains("autostart")) {
      if (!json["autostart"].is_boolean()) return unfit("autostart", "true or false");
      group.start = json["autostart"].get<bool>() ? Start::automatic : Start::manual;
    }
    if (json.contains("attrs")) {
      auto attributes = parse_attributes(to_line(json["attrs"]));
      if (!attributes) return unfit("attrs", attributes.error());
      group.attributes = std::move(*attributes);
    }
    if (auto read = read_number(json, group); !read) return read;
    state_.groups.push_back(std::move(group));
    return {};
  }

  Read read_name(const Json& json, const char* key, std::string& into) const {
    const auto found = json.find(key);
    if (found == json.end()) return unfit(key, "is missing");
    if (!found->is_string() || !is_parent_name(found->get_ref<const std::string&>()))
      return unfit(key, "the name of a parent or a type is wanted");
    into = found->get<std::string>();
    return {};
  }

  Read read_number(const Json& json, DesiredGroup& group) {
    const auto count = json.find("count");
    const auto uuids = json.find("uuids");
    if ((count == json.end()) == (uuids == json.end()))
      return unfit(count == json.end() ? "count" : "uuids", "say either a count or uuids");
    if (uuids != json.end()) return read_uuids(*uuids, group);
    if (!count->is_number_integer() || count->get<std::int64_t>() < 0 ||
        count->get<std::int64_t>() > desired_max - total_)
      return unfit("count", "a number from 0 on; at most 65536 devices in all");
    group.count = static_cast<std::uint32_t>(count->get<std::int64_t>());
    total_ += group.count;
    return {};
  }

  Read read_uuids(const Json& json, DesiredGroup& group) {
    if (!json.is_array()) return unfit("uuids", "a list of UUIDs");
    if (json.empty()) return unfit("uuids", "an empty list: leave the [[instances]] out");
    for (const Json& item : json) {
      const auto uuid =
          item.is_string() ? Uuid::parse(item.get_ref<const std::string&>()) : fail(EINVAL, "no text");
      if (!uuid) return unfit("uuids", "a UUID has 8-4-4-4-12 hexadecimal digits");
      if (!seen_.insert(*uuid).second) return unfit("uuids", uuid->to_string() + " stands there twice");
      if (++total_ > desired_max) return unfit("uuids", "at most 65536 devices in all");
      group.uuids.push_back(*uuid);
    }
    return {};
  }

  const std::string_view file_;
  const LineFinder& lines_;
  std::string where_;
  DesiredState state_;
  std::set<Uuid> seen_;
  std::uint32_t total_ = 0;
};

}  // namespace

std::expected<DesiredState, std::string> parse_desired_json(std::string_view text, std::string_view file) {
  const auto json = parse_strictly(text);
  if (!json) return Refused(std::string(file) + ": " + json.error());
  return Reader(file, LineFinder()).read(*json);
}

std::expected<DesiredState, std::string> parse_desired_toml(std::string_view text, std::string_view file) {
  const auto document = read_toml(text);
  if (!document) return Refused(std::string(file) + document.error());
  const auto json = parse_strictly(document->json);
  if (!json) return Refused(std::string(file) + ": " + json.error());
  return Reader(file, document->lines).read(*json);
}

std::expected<DesiredState, std::string> read_desired(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Refused(path + ": " + std::strerror(errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad() || !text) return Refused(path + ": cannot be read");
  return path.ends_with(".json") ? parse_desired_json(text.str(), path)
                                 : parse_desired_toml(text.str(), path);
}

std::string format_desired(const DesiredState& state) {
  Json groups = Json::array();
  for (const DesiredGroup& group : state.groups) {
    Json json{{"parent", group.parent}, {"type", group.type}};
    if (group.uuids.empty()) json["count"] = group.count;
    for (const Uuid& uuid : group.uuids) json["uuids"].push_back(uuid.to_string());
    json["autostart"] = group.start == Start::automatic;
    json["attrs"] = Json::parse(format_attributes(group.attributes), nullptr, false);
    groups.push_back(std::move(json));
  }
  return to_line(Json{{"set", state.set}, {"instances", std::move(groups)}});
}

}  // namespace umdev::manage
