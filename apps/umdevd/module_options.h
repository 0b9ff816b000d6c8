// The modules that the command line names.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "apps/umdevd/config.h"
#include "umdev/control/modules.h"

namespace umdev::daemon {

// A driver of the kernel's kind that is loaded at the start.
struct ModuleOption {
  std::string path;  // absolute
  control::Modules::Parameters parameters = {};
  // As its file is called: what it calls itself is not known yet.
  std::string name() const;
};

// --module and --module-param ("NAME=VALUE" where there is one module, "MODULE.NAME=VALUE"). The error is for
// people.
std::expected<std::vector<ModuleOption>, std::string> parse_modules(std::span<const std::string> paths,
                                                                    std::span<const std::string> parameters);

// Takes the parents that are called as a module is out of a configuration that nobody has written: its own
// parent could not be called so any more.
void leave_place(Config& config, std::span<const ModuleOption> modules);

// Starts this program again, with AddressSanitizer in it, where a module has been compiled with that and the
// process has not got it: it has to be there before anything else. Does not come back then. An error of
// starting: the text for people. Before any thread runs.
std::expected<void, std::string> start_with_sanitizer(std::span<const ModuleOption> modules, char** words);

}  // namespace umdev::daemon
