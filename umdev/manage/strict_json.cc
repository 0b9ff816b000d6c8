#include "umdev/manage/strict_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace umdev::manage {
namespace {

using Json = nlohmann::ordered_json;

constexpr int depth_max = 32;

std::string at_line(std::string_view text, std::size_t byte, std::string_view what) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
  return "line " + std::to_string(1 + std::count(text.begin(), end, '\n')) + ": " + std::string(what);
}

// Watches the parser for what it would let pass.
class Watcher {
 public:
  bool watch(int depth, Json::parse_event_t event, const Json& parsed) {
    if (depth > depth_max) too_deep_ = true;
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end && !keys_.empty()) keys_.pop_back();
    if (event == Json::parse_event_t::key && !keys_.empty() &&
        !keys_.back().insert(parsed.get<std::string>()).second && doubled_.empty())
      doubled_ = parsed.get<std::string>();
    return !too_deep_;  // what is too deep is not built
  }
  bool is_too_deep() const { return too_deep_; }
  const std::string& doubled() const { return doubled_; }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string doubled_;
  bool too_deep_ = false;
};

}  // namespace

std::expected<Json, std::string> parse_strictly(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return std::unexpected(std::string("line 1: it is empty"));
  Watcher watcher;
  Json json;
  try {
    json = Json::parse(text, [&](int depth, Json::parse_event_t event, const Json& parsed) {
      return watcher.watch(depth, event, parsed);
    });
  } catch (const Json::parse_error& error) {  // how the library says where
    return std::unexpected(at_line(text, error.byte, "it is no JSON"));
  }
  if (watcher.is_too_deep()) return std::unexpected(std::string("line 1: it is nested too deeply"));
  if (!watcher.doubled().empty())
    return std::unexpected("line 1: the key \"" + watcher.doubled() + "\" stands there twice");
  return json;
}

std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_lines(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace umdev::manage
