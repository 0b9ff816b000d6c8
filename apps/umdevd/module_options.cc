#include "apps/umdevd/module_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "umdev/kernel/shared_object.h"

namespace umdev::daemon {
namespace {

using Unfit = std::unexpected<std::string>;

// Behind a finding the daemon goes on. What is not given back when a driver ends is told elsewhere; and our
// own handler of a crash knows which module it was.
constexpr const char* usual_asan_options =
    "halt_on_error=0:detect_leaks=0:handle_segv=0:handle_sigfpe=0:handle_sigill=0";

std::string sanitizer_of(const kernel::SharedObject& object) {
  for (const std::string& name : object.needed)
    if (name.find("asan") != std::string::npos) return name;
  return {};
}

}  // namespace

std::string ModuleOption::name() const {
  return std::filesystem::path(path).stem().string();
}

std::expected<std::vector<ModuleOption>, std::string> parse_modules(std::span<const std::string> paths,
                                                                    std::span<const std::string> parameters) {
  std::vector<ModuleOption> modules;
  for (const std::string& path : paths) {
    std::error_code error;
    modules.push_back({.path = std::filesystem::absolute(path, error).lexically_normal().string()});
  }
  for (const std::string& text : parameters) {
    const auto sign = text.find('=');
    if (sign == std::string::npos || sign == 0)
      return Unfit(fmt::format("--module-param {}: NAME=VALUE is wanted", text));
    std::string name = text.substr(0, sign);
    auto module = modules.begin();
    if (const auto dot = name.find('.'); dot != std::string::npos) {
      module = std::find_if(modules.begin(), modules.end(),
                            [&](const ModuleOption& one) { return one.name() == name.substr(0, dot); });
      name.erase(0, dot + 1);
    } else if (modules.size() > 1) {
      return Unfit(fmt::format("--module-param {}: of which module? MODULE.NAME=VALUE", text));
    }
    if (module == modules.end())
      return Unfit(fmt::format("--module-param {}: there is no such --module", text));
    module->parameters.emplace_back(name, text.substr(sign + 1));
  }
  return modules;
}

void leave_place(Config& config, std::span<const ModuleOption> modules) {
  std::erase_if(config.parents, [&](const ParentConfig& parent) {
    return std::any_of(modules.begin(), modules.end(),
                       [&](const ModuleOption& module) { return module.name() == parent.name; });
  });
}

std::expected<void, std::string> start_with_sanitizer(std::span<const ModuleOption> modules, char** words) {
  if (kernel::has_address_sanitizer()) return {};
  for (const ModuleOption& module : modules) {
    const auto object = kernel::read_shared_object(module.path);
    if (!object || !kernel::needs_address_sanitizer(*object))
      continue;  // the loader says what is wrong with it
    const char* const before = std::getenv("LD_PRELOAD");
    const std::string library = sanitizer_of(*object);
    // Tried before: it is not where libraries are looked for.
    if (before != nullptr && std::string_view(before).find(library) != std::string_view::npos)
      return Unfit(fmt::format("{}: it needs {}, which cannot be loaded", module.path, library));
    ::setenv("LD_PRELOAD",
             before != nullptr ? fmt::format("{} {}", library, before).c_str() : library.c_str(), 1);
    ::setenv("ASAN_OPTIONS", usual_asan_options, 0);
    ::setenv("UBSAN_OPTIONS", "print_stacktrace=1", 0);
    ::execv("/proc/self/exe", words);
    return Unfit(fmt::format("cannot start again with {}: {}", library, std::strerror(errno)));
  }
  return {};
}

}  // namespace umdev::daemon
