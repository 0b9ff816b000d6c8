#include "apps/umdev/commands.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

// The daemon's answers are ours to trust in their form, but not to crash on: what is missing is shown empty.
Outcome<> create(const Options& options) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  control::CallParameters parameters{{"parent", options.parent}, {"type", options.type}};
  if (!options.uuid.empty()) parameters.emplace_back("uuid", options.uuid);
  if (!options.pci_address.empty()) parameters.emplace_back("pci", options.pci_address);
  const auto result = remote->call("create", parameters);
  if (!result) return std::unexpected(result.error());
  const Json json = Json::parse(*result, nullptr, /*allow_exceptions=*/false);
  if (options.json)
    fmt::print("{}\n", json.dump(2));
  else
    fmt::print("{}\n", json.is_object() ? json.value("uuid", "") : "");
  return {};
}

namespace {

Outcome<> take_away(const Options& options, std::string_view method) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto result =
      remote->call_patiently(method, {{"uuid", options.uuid}, {"policy", options.force ? "force" : "wait"}},
                             "it is in use, or its driver takes its time; waiting until it has been let go "
                             "(--force takes it away)");
  if (!result) return std::unexpected(result.error());
  if (options.json) fmt::print("{}\n", Json::parse(*result, nullptr, false).dump(2));
  return {};
}

}  // namespace

Outcome<> remove(const Options& options) {
  return take_away(options, "remove");
}

Outcome<> stop(const Options& options) {
  return take_away(options, "stop");
}

}  // namespace umdev::cli
