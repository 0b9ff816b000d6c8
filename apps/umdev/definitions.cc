// The subcommands about devices that are defined.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/umdev/commands.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

// The daemon's answer, as JSON or not at all; `define` prints the UUID.
Outcome<> tell(const Options& options, std::string_view method, const control::CallParameters& parameters,
               const control::CallParameters& json = {}, bool print_uuid = false) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto result = remote->call(method, parameters, json);
  if (!result) return std::unexpected(result.error());
  const Json answer = Json::parse(*result, nullptr, /*allow_exceptions=*/false);
  if (options.json)
    fmt::print("{}\n", answer.dump(2));
  else if (print_uuid)
    fmt::print("{}\n", answer.is_object() ? answer.value("uuid", "") : "");
  return {};
}

void add_given(control::CallParameters& parameters, std::string_view name, const std::string& value) {
  if (!value.empty()) parameters.emplace_back(name, value);
}

// The words NAME=VALUE as the daemon takes them, when there are any (or none are wanted).
Outcome<control::CallParameters> read_attributes(const Options& options) {
  if (options.attributes.empty() && !options.no_attributes) return control::CallParameters();
  Json list = Json::array();
  for (const std::string& word : options.attributes) {
    const std::size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos)
      return std::unexpected(
          Failure{.status = exit_usage, .text = fmt::format("--attr {}: write NAME=VALUE", word)});
    list.push_back(Json{{word.substr(0, equals), word.substr(equals + 1)}});
  }
  return control::CallParameters{{"attrs", list.dump(-1, ' ', false, Json::error_handler_t::replace)}};
}

}  // namespace

Outcome<> define(const Options& options) {
  const auto attributes = read_attributes(options);
  if (!attributes) return std::unexpected(attributes.error());
  control::CallParameters parameters{{"start", options.automatic ? "auto" : "manual"}};
  add_given(parameters, "parent", options.parent);
  add_given(parameters, "type", options.type);
  add_given(parameters, "uuid", options.uuid);
  return tell(options, "define", parameters, *attributes, /*print_uuid=*/true);
}

Outcome<> undefine(const Options& options) {
  control::CallParameters parameters{{"uuid", options.uuid}};
  add_given(parameters, "parent", options.parent);
  return tell(options, "undefine", parameters);
}

Outcome<> modify(const Options& options) {
  const auto attributes = read_attributes(options);
  if (!attributes) return std::unexpected(attributes.error());
  control::CallParameters parameters{{"uuid", options.uuid}};
  add_given(parameters, "parent", options.parent);
  add_given(parameters, "type", options.type);
  if (options.automatic || options.manual)
    parameters.emplace_back("start", options.automatic ? "auto" : "manual");
  return tell(options, "modify", parameters, *attributes);
}

Outcome<> autostart(const Options& options) {
  control::CallParameters parameters{{"uuid", options.uuid}, {"start", options.manual ? "manual" : "auto"}};
  add_given(parameters, "parent", options.parent);
  return tell(options, "modify", parameters);
}

Outcome<> start(const Options& options) {
  control::CallParameters parameters{{"uuid", options.uuid}};
  add_given(parameters, "parent", options.parent);
  return tell(options, "start", parameters);
}

}  // namespace umdev::cli
