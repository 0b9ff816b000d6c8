// Management's methods about loaded drivers.
#include <nlohmann/json.hpp>

#include "umdev/control/call.h"
#include "umdev/control/modules.h"

namespace umdev::control {
namespace {

using Json = nlohmann::ordered_json;

Json describe(const kernel::ModuleInfo& module) {
  Json parameters = Json::array();
  for (const kernel::ModuleInfo::Parameter& parameter : module.parameters)
    parameters.push_back(
        {{"name", parameter.name}, {"value", parameter.value}, {"meaning", parameter.meaning}});
  Json json{{"name", module.name},
            {"path", module.path},
            {"api", kernel::api_text(module.api)},
            {"state", name_of(module.state)},
            {"description", module.description},
            {"license", module.license},
            {"version", module.version},
            {"parents", module.parents},
            {"instances", module.instances},
            {"open_files", module.open_devices},
            {"parameters", std::move(parameters)}};
  if (!module.crash.empty()) json["crash"] = module.crash;
  if (!module.unfinished.empty()) json["unfinished"] = module.unfinished;
  return json;
}

// {NAME: VALUE}, where a value is a text, a number or a truth.
Result<Modules::Parameters> parse_parameters(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(EINVAL, "params: an object of names and values is wanted");
  Modules::Parameters parameters;
  for (const auto& [name, value] : json.items()) {
    if (value.is_structured() || value.is_null())
      return fail(EINVAL, "params: a value is a text, a number or a truth");
    parameters.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return parameters;
}

}  // namespace

// What is loaded runs with the daemon's rights, so nobody else may decide about it.
Result<> Management::may_load(const Call& call) const {
  if (world_.modules == nullptr) return fail(EOPNOTSUPP, "this daemon loads no modules");
  if (call.caller.uid != 0 && call.caller.uid != world_.uid)
    return fail(EPERM, "only root and the daemon's own user load and remove modules");
  return {};
}

void Management::list_modules(Call& call) {
  Json list = Json::array();
  if (world_.modules != nullptr)
    for (const kernel::ModuleInfo& module : world_.modules->modules()) list.push_back(describe(module));
  call.done(list.dump());
}

void Management::add_module(Call& call) {
  if (const auto allowed = may_load(call); !allowed) return call.done(std::unexpected(allowed.error()));
  const std::string path(call.arguments.at("path"));
  if (!path.starts_with('/')) return call.done(fail(EINVAL, "an absolute path is wanted"));
  auto parameters = parse_parameters(call.arguments.find("params").value_or("{}"));
  if (!parameters) return call.done(std::unexpected(parameters.error()));
  world_.modules->add(path, std::move(*parameters),
                      [self = call.shared_from_this()](Result<std::string> name) {
                        if (!name) return self->done(std::unexpected(name.error()));
                        self->done(Json{{"name", *name}}.dump());
                      });
}

void Management::remove_module(Call& call) {
  if (const auto allowed = may_load(call); !allowed) return call.done(std::unexpected(allowed.error()));
  const std::string name(call.arguments.at("name"));
  world_.modules->remove(name, call.arguments.find("policy") == "force",
                         [self = call.shared_from_this()](Result<> result) {
                           if (!result) return self->done(std::unexpected(result.error()));
                           self->done(Json{{"name", self->arguments.at("name")}}.dump());
                         });
}

}  // namespace umdev::control
