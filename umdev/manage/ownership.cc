#include "umdev/manage/ownership.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "umdev/manage/strict_json.h"

namespace umdev::manage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t set_name_max = 64;

}  // namespace

std::expected<Mark, std::string> parse_mark(std::string_view text) {
  const auto json = parse_strictly(text);
  if (!json) return std::unexpected(json.error());
  if (!json->is_object()) return std::unexpected("it is no JSON object");
  const auto uid = json->find("uid");
  if (uid == json->end() || !uid->is_number_unsigned() || uid->get<std::uint64_t>() > UINT32_MAX)
    return std::unexpected("\"uid\" is no user's number");
  Mark mark{.uid = uid->get<std::uint32_t>(), .set = {}};
  const auto set = json->find("set");
  if (set == json->end()) return mark;
  if (!set->is_string() || !is_set_name(set->get_ref<const std::string&>()))
    return std::unexpected("\"set\" is no name of a set");
  mark.set = set->get<std::string>();
  return mark;
}

std::string format_mark(const Mark& mark) {
  Json json{{"uid", mark.uid}};
  if (!mark.set.empty()) json["set"] = mark.set;
  return to_lines(json);
}

bool is_set_name(std::string_view name) {
  return !name.empty() && name.size() <= set_name_max && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char letter) {
           return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                  (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' || letter == '.';
         });
}

}  // namespace umdev::manage
