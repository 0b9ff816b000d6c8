#include "umdev/control/describe_definitions.h"

#include <nlohmann/json.hpp>

namespace umdev::control {
namespace {

using Json = nlohmann::ordered_json;

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json describe(const manage::DefinitionReport& report) {
  Json json;
  if (!report.stranger.empty()) {
    json["file"] = report.stranger;
  } else {
    json["uuid"] = report.key.uuid.to_string();
    json["parent"] = report.key.parent;
    json["type"] = report.definition.type;
    json["start"] = manage::to_string(report.definition.start);
    json["attrs"] = Json::parse(manage::format_attributes(report.definition.attributes), nullptr, false);
  }
  json["state"] = manage::to_string(report.state);
  if (!report.error.empty()) json["error"] = report.error;
  if (report.stranger.empty()) json["owner"] = {{"uid", report.mark.uid}};
  if (!report.mark.set.empty()) json["set"] = report.mark.set;
  return json;
}

}  // namespace

std::string describe_definitions(const std::vector<manage::DefinitionReport>& reports) {
  Json list = Json::array();
  for (const manage::DefinitionReport& report : reports) list.push_back(describe(report));
  return to_text(list);
}

std::string describe_apply(const manage::ApplyReport& report) {
  Json steps = Json::array();
  std::size_t changed = 0;
  std::size_t failed = 0;
  for (const manage::StepReport& one : report.steps) {
    const manage::Step& step = one.step;
    Json json{{"action", manage::to_string(step.kind)}};
    if (step.uuid) json["uuid"] = step.uuid->to_string();
    json["parent"] = step.parent;
    json["type"] = step.type;
    if (step.kind != manage::Step::Kind::remove && step.kind != manage::Step::Kind::start) {
      json["start"] = manage::to_string(step.start);
      json["attrs"] = Json::parse(manage::format_attributes(step.attributes), nullptr, false);
    }
    json["result"] = one.done ? "done" : one.error.empty() ? "planned" : "failed";
    if (!one.error.empty()) json["error"] = one.error;
    changed += one.done ? 1 : 0;
    failed += one.error.empty() ? 0 : 1;
    steps.push_back(std::move(json));
  }
  return to_text(Json{{"set", report.set},
                      {"changed", changed},
                      {"failed", failed},
                      {"problems", report.problems},
                      {"steps", std::move(steps)}});
}

std::string describe_inactive(const std::vector<manage::DefinitionReport>& reports) {
  Json definition = describe(reports.front());
  const Json json{{"uuid", definition["uuid"]},
                  {"parent", definition["parent"]},
                  {"type", definition["type"]},
                  {"state", definition["state"]},
                  {"definition", definition}};
  return to_text(json);
}

}  // namespace umdev::control
