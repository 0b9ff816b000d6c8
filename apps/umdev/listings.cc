// The subcommands that show something.
#include <fmt/format.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "apps/umdev/commands.h"
#include "apps/umdev/table.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

Outcome<Json> ask(const Options& options, std::string_view method,
                  const control::CallParameters& parameters = {}) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto result = remote->call(method, parameters);
  if (!result) return std::unexpected(result.error());
  Json json = Json::parse(*result, nullptr, /*allow_exceptions=*/false);
  if (!json.is_structured())
    return std::unexpected(
        Failure{.text = "the daemon's answer is not understood: is it of another version?"});
  return json;
}

// A value as a word; words of a list with commas; empty for what is not there.
std::string text_of(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return found->dump();
  std::string list;
  for (const Json& item : *found)
    list += (list.empty() ? "" : ",") + (item.is_string() ? item.get<std::string>() : item.dump());
  return list;
}

const Json& part_of(const Json& object, const char* key) {
  static const Json nothing = Json::array();
  const auto found = object.find(key);
  return found != object.end() ? *found : nothing;
}

void print(const Json& json) {
  fmt::print("{}\n", json.dump(2));
}

// A table of the objects of a list: `columns` are a heading and the key of what stands under it.
using Columns = std::vector<std::pair<std::string, const char*>>;

std::string to_table(const Json& list, const Columns& columns, std::size_t indent = 0) {
  std::vector<std::string> header;
  for (const auto& [heading, key] : columns) header.push_back(heading);
  Table table(std::move(header));
  for (const Json& object : list) {
    std::vector<std::string> row;
    for (const auto& [heading, key] : columns) row.push_back(text_of(object, key));
    table.add(std::move(row));
  }
  return table.to_string(indent);
}

Outcome<> show_list_of(const Options& options, std::string_view method, const Columns& columns) {
  const auto list = ask(options, method);
  if (!list) return std::unexpected(list.error());
  if (options.json)
    print(*list);
  else
    fmt::print("{}", to_table(*list, columns));
  return {};
}

void print_part(const Json& object, const char* key, std::string_view title, const Columns& columns) {
  const Json& list = part_of(object, key);
  if (list.is_null()) fmt::print("{}: known at the first open\n", title);
  if (!list.empty()) fmt::print("{}:\n{}", title, to_table(list, columns, 2));
}

const Columns session_columns{{"PID", "pid"}, {"OPEN", "open"}, {"MAPPINGS", "mappings"}, {"UUID", "uuid"}};

// The path that a QEMU with these arguments would connect to.
std::string path_in(const Json& words) {
  for (const Json& word : words) {
    if (!word.is_string()) continue;
    const Json device = Json::parse(word.get<std::string>(), nullptr, /*allow_exceptions=*/false);
    if (device.is_object()) return text_of(part_of(device, "socket"), "path");
  }
  return {};
}

}  // namespace

Outcome<> show_parents(const Options& options) {
  return show_list_of(options, "parents",
                      {{"PARENT", "name"}, {"TYPES", "types"}, {"INSTANCES", "instances"}, {"PATH", "path"}});
}

Outcome<> show_types(const Options& options) {
  return show_list_of(options, "types",
                      {{"PARENT", "parent"},
                       {"TYPE", "type"},
                       {"NAME", "name"},
                       {"API", "device_api"},
                       {"AVAILABLE", "available_instances"},
                       {"INSTANCES", "instances"}});
}

namespace {

// In a table the owner is a number.
Json with_plain_owner(Json list) {
  for (Json& object : list) {
    if (!object.is_object() || !object.contains("owner")) continue;
    object["owner"] = text_of(object["owner"], "uid");
  }
  return list;
}

// The attributes of a definition as they are given on the command line.
std::string attributes_of(const Json& definition) {
  std::string text;
  for (const Json& attribute : part_of(definition, "attrs"))
    for (const auto& [name, value] : attribute.items())
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", name,
                          value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

// "auto, by uid 0, attributes a=1 b=2"
std::string describe_definition(const Json& definition) {
  std::string text = fmt::format("{}, by uid {}", text_of(definition, "start"),
                                 text_of(part_of(definition, "owner"), "uid"));
  if (definition.contains("set")) text += ", in the set " + text_of(definition, "set");
  if (const auto attributes = attributes_of(definition); !attributes.empty())
    text += ", attributes " + attributes;
  return text;
}

Outcome<> show_definitions(const Options& options) {
  auto list = ask(options, "definitions");
  if (!list) return std::unexpected(list.error());
  if (options.json) {
    print(*list);
    return {};
  }
  for (Json& object : *list)
    if (object.is_object() && object.contains("file")) object["uuid"] = object["file"];
  fmt::print("{}", to_table(with_plain_owner(*list), {{"UUID", "uuid"},
                                                      {"PARENT", "parent"},
                                                      {"TYPE", "type"},
                                                      {"START", "start"},
                                                      {"STATE", "state"},
                                                      {"OWNER", "owner"},
                                                      {"SET", "set"},
                                                      {"ERROR", "error"}}));
  return {};
}

// A device that is defined, and not there.
void print_inactive(const Json& shown) {
  const Json& definition = part_of(shown, "definition");
  fmt::print("{}\n", text_of(shown, "uuid"));
  const std::vector<std::pair<std::string_view, std::string>> facts{
      {"type", text_of(shown, "type")},
      {"parent", text_of(shown, "parent")},
      {"state",
       text_of(shown, "state") + (definition.contains("error") ? ": " + text_of(definition, "error") : "")},
      {"defined", describe_definition(definition)}};
  for (const auto& [name, value] : facts) fmt::print("  {:<11} {}\n", name, value);
}

}  // namespace

Outcome<> show_list(const Options& options) {
  if (options.defined) return show_definitions(options);
  const auto list = ask(options, "list");
  if (!list) return std::unexpected(list.error());
  if (options.json)
    print(*list);
  else
    fmt::print("{}", to_table(with_plain_owner(*list), {{"UUID", "uuid"},
                                                        {"PARENT", "parent"},
                                                        {"TYPE", "type"},
                                                        {"STATE", "state"},
                                                        {"OPEN", "open_files"},
                                                        {"OWNER", "owner"}}));
  return {};
}

Outcome<> show_instance(const Options& options) {
  const auto instance = ask(options, "show", {{"uuid", options.uuid}});
  if (!instance) return std::unexpected(instance.error());
  if (options.json) {
    print(*instance);
    return {};
  }
  if (!instance->contains("owner")) {
    print_inactive(*instance);
    return {};
  }
  const Json& owner = part_of(*instance, "owner");
  fmt::print("{}\n", text_of(*instance, "uuid"));
  const std::vector<std::pair<std::string_view, std::string>> facts{
      {"type", fmt::format("{} ({}), {}", text_of(*instance, "type"), text_of(*instance, "name"),
                           text_of(*instance, "device_api"))},
      {"parent", text_of(*instance, "parent")},
      {"state", text_of(*instance, "state")},
      {"created by", fmt::format("uid {}, process {}, through {}", text_of(owner, "uid"),
                                 text_of(owner, "pid"), text_of(owner, "door"))},
      {"path", text_of(*instance, "path")},
      {"vfio", fmt::format("{}, iommu group {}", text_of(*instance, "vfio_device"),
                           text_of(*instance, "iommu_group"))},
      {"socket", text_of(*instance, "socket")},
      {"open files", text_of(*instance, "open_files")}};
  for (const auto& [name, value] : facts) fmt::print("  {:<11} {}\n", name, value);
  if (instance->contains("definition"))
    fmt::print("  {:<11} {}\n", "defined", describe_definition(part_of(*instance, "definition")));
  print_part(*instance, "regions", "regions",
             {{"INDEX", "index"}, {"NAME", "name"}, {"SIZE", "size"}, {"FLAGS", "flags"}});
  print_part(*instance, "irqs", "interrupts",
             {{"INDEX", "index"}, {"NAME", "name"}, {"COUNT", "count"}, {"FLAGS", "flags"}});
  print_part(*instance, "sessions", "users", session_columns);
  return {};
}

Outcome<> show_status(const Options& options) {
  const auto status = ask(options, "status");
  if (!status) return std::unexpected(status.error());
  if (options.json) {
    print(*status);
    return {};
  }
  fmt::print("umdevd {}, process {}: {} parents, {} instances\n", text_of(*status, "version"),
             text_of(*status, "pid"), text_of(*status, "parents"), text_of(*status, "instances"));
  print_part(*status, "sessions", "sessions", session_columns);
  for (const auto& [group, numbers] : status->items()) {
    if (!numbers.is_object() || numbers.empty()) continue;
    fmt::print("{}:\n", group);
    for (const auto& [name, number] : numbers.items()) fmt::print("  {:<24} {}\n", name, number.dump());
  }
  fmt::print("{}", summarize_metrics(status->dump()));
  return {};
}

Outcome<> show_metrics(const Options& options) {
  if (options.json) {
    const auto status = ask(options, "status");
    if (!status) return std::unexpected(status.error());
    print(part_of(*status, "metrics"));
    return {};
  }
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto text = remote->call("metrics");
  if (!text) return std::unexpected(text.error());
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  fmt::print("{}", json.is_string() ? json.get<std::string>() : std::string());
  return {};
}

Outcome<> show_qemu_args(const Options& options) {
  const auto answer = ask(options, "qemu_args", {{"uuid", options.uuid}});
  if (!answer) return std::unexpected(answer.error());
  const std::string path = path_in(part_of(*answer, "arguments"));
  struct stat status{};
  // The daemon's file system, or its /proc, may not be ours.
  if (::stat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode))
    return std::unexpected(
        Failure{.text = fmt::format(
                    "the path {} that a QEMU would be given leads nowhere from here: another mount or "
                    "PID namespace? Start the daemon with a shorter --runtime-dir that both can see",
                    path)});
  if (options.json)
    print(*answer);
  else
    fmt::print("{}\n", text_of(*answer, "line"));
  return {};
}

}  // namespace umdev::cli
