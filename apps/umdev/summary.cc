// The metrics, as people want them: what there is of each type, and how long things take.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "apps/umdev/commands.h"
#include "apps/umdev/table.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

const Json& values_of(const Json& metrics, std::string_view name) {
  static const Json nothing = Json::array();
  for (const Json& metric : metrics)
    if (metric.is_object() && metric.value("name", "") == name && metric.contains("values"))
      return metric["values"];
  return nothing;
}

std::string label_of(const Json& value, const char* label) {
  return value.is_object() && value.contains("labels") ? value["labels"].value(label, "") : std::string();
}

// Times of all sizes in one column.
std::string to_duration(const Json& seconds) {
  if (!seconds.is_number()) return "-";
  const double value = seconds.get<double>();
  if (value < 1e-6) return fmt::format("{:.0f}ns", value * 1e9);
  if (value < 1e-3) return fmt::format("{:.1f}us", value * 1e6);
  if (value < 1) return fmt::format("{:.1f}ms", value * 1e3);
  return fmt::format("{:.1f}s", value);
}

std::string summarize_types(const Json& metrics) {
  Table table({"PARENT", "TYPE", "INSTANCES", "AVAILABLE"});
  const Json& available = values_of(metrics, "umdev_available_instances");
  const Json& instances = values_of(metrics, "umdev_instances");
  for (std::size_t index = 0; index < instances.size() && index < available.size(); ++index)
    table.add({label_of(instances[index], "parent"), label_of(instances[index], "type"),
               fmt::format("{:.0f}", instances[index].value("value", 0.0)),
               fmt::format("{:.0f}", available[index].value("value", 0.0))});
  return instances.empty() ? std::string() : "types:\n" + table.to_string(2);
}

struct Door {
  std::string_view name;
  std::string_view metric;
  const char* label;
};
constexpr std::array doors{Door{"vfio-user", "umdev_vfio_user_message_duration_seconds", "command"},
                           Door{"control", "umdev_control_call_duration_seconds", "method"},
                           Door{"tree", "umdev_tree_operation_duration_seconds", "operation"}};

std::string summarize_latencies(const Json& metrics) {
  Table table({"DOOR", "WHAT", "TIMED", "MEAN", "HALF BELOW", "99% BELOW"});
  bool any = false;
  for (const Door& door : doors) {
    for (const Json& value : values_of(metrics, door.metric)) {
      const double count = value.value("count", 0.0);
      if (count == 0) continue;
      any = true;
      table.add({std::string(door.name), label_of(value, door.label), fmt::format("{:.0f}", count),
                 to_duration(value.value("sum", 0.0) / count), to_duration(value.value("p50", Json())),
                 to_duration(value.value("p99", Json()))});
    }
  }
  return any ? "latency:\n" + table.to_string(2) : std::string();
}

}  // namespace

std::string summarize_metrics(const std::string& status) {
  const Json json = Json::parse(status, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("metrics") || !json["metrics"].is_array()) return {};
  return summarize_types(json["metrics"]) + summarize_latencies(json["metrics"]);
}

}  // namespace umdev::cli
