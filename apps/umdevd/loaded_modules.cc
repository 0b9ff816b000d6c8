#include "apps/umdevd/loaded_modules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "umdev/support/deadline.h"

namespace umdev::daemon {
namespace {

// How long the end of a module is waited for.
constexpr Duration end_limit = std::chrono::seconds(5);

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

}  // namespace

std::vector<kernel::ModuleInfo> LoadedModules::modules() const {
  return loader_.list();
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
  auto answer = [this, removal](Result<> result) {
    if (!result && result.error().code == ETIMEDOUT)
      result = std::unexpected(explain(removal->name, result.error()));
    removal->done(std::move(result));
  };
  auto ended = std::make_shared<Done<>>(with_deadline<void>(clock_, end_limit, std::move(answer), {}));
  threads_.post([this, removal, ended] { (*ended)(loader_.remove(removal->name, removal->force)); });
}

// Of a removal that does not end: what it waits for, and what can be done.
Error LoadedModules::explain(const std::string& name, const Error& error) {
  const auto unfinished = loader_.unfinished(name);
  if (unfinished.empty()) return error;
  const std::string text =
      fmt::format("the module is ending and waits for {}; it goes when that ends, --force gives it up",
                  fmt::join(unfinished, ", "));
  log_.warning(fmt::format("module {}: {}", name, text));
  return keep_text({.error = error, .text = text});
}

Error LoadedModules::keep_text(const kernel::Refusal& refusal) {
  Lock lock(mutex_);
  Error error = refusal.error;
  if (texts_.size() < texts_max || texts_.contains(refusal.text))
    error.text = *texts_.insert(refusal.text).first;
  return error;
}

}  // namespace umdev::daemon
