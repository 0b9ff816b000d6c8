#include "apps/umdevd/loaded_modules.h"

#include <fmt/format.h>

namespace umdev::daemon {
namespace {

constexpr std::uint32_t api_5_13_rc = 0x050cff;

struct Addition {
  std::string path;
  control::Modules::Parameters parameters;
  Done<std::string> done;
};
struct Removal {
  std::string name;
  bool force;
  Done<> done;
};

control::ModuleReport report_of(const kernel::ModuleInfo& info) {
  control::ModuleReport report{.name = info.name,
                               .path = info.path,
                               .api = info.api != 0 ? api_text(info.api) : "",
                               .state = std::string(name_of(info.state)),
                               .crash = info.crash,
                               .description = info.description,
                               .license = info.license,
                               .version = info.version,
                               .parents = info.parents,
                               .instances = static_cast<std::uint32_t>(info.instances),
                               .open_files = static_cast<std::uint32_t>(info.open_devices),
                               .parameters = {}};
  for (const kernel::ModuleInfo::Parameter& parameter : info.parameters)
    report.parameters.push_back(
        {.name = parameter.name, .value = parameter.value, .meaning = parameter.meaning});
  return report;
}

}  // namespace

std::string api_text(std::uint32_t api) {
  if (api == api_5_13_rc) return "5.13-rc";
  return fmt::format("{}.{}", api >> 16, api >> 8 & 0xff);
}

std::vector<control::ModuleReport> LoadedModules::modules() const {
  std::vector<control::ModuleReport> reports;
  for (const kernel::ModuleInfo& info : loader_.list()) reports.push_back(report_of(info));
  return reports;
}

void LoadedModules::add(std::string path, Parameters parameters, Done<std::string> done) {
  auto addition = std::make_shared<Addition>(
      Addition{.path = std::move(path), .parameters = std::move(parameters), .done = std::move(done)});
  threads_.post([this, addition] {
    auto name = loader_.add(addition->path, addition->parameters);
    if (name) return addition->done(std::move(*name));
    log_.warning(fmt::format("module {} is not loaded: {} ({})", addition->path, name.error().text,
                             errno_name(name.error().error.code)));
    addition->done(std::unexpected(keep_text(name.error())));
  });
}

void LoadedModules::remove(const std::string& name, bool force, Done<> done) {
  auto removal = std::make_shared<Removal>(Removal{.name = name, .force = force, .done = std::move(done)});
  threads_.post([this, removal] { removal->done(loader_.remove(removal->name, removal->force)); });
}

Error LoadedModules::keep_text(const kernel::Refusal& refusal) {
  Lock lock(mutex_);
  Error error = refusal.error;
  if (texts_.size() < texts_max || texts_.contains(refusal.text))
    error.text = *texts_.insert(refusal.text).first;
  return error;
}

}  // namespace umdev::daemon
