// Modules: drivers written against the kernel's C interface, compiled here and loaded into a daemon.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/umdev/commands.h"

namespace CLI {
class App;
}

namespace umdev::cli {

struct CompileOptions {
  std::vector<std::string> sources;
  std::string output;
  std::string vintage;     // empty: by the source
  std::string sanitizers;  // "address,undefined"
  bool coverage = false;
  bool verbose = false;
  std::vector<std::string> extra;  // for the compiler
};

// `umdev cc`. Says on stderr which vintage it has picked and why, then runs the compiler, whose messages are
// its own.
Outcome<> compile_module(const Options& options, const CompileOptions& compile);
void add_compile_options(CLI::App& parser, CompileOptions& compile);

struct ModuleOptions {
  std::string name;                     // of a module, or what a new driver is to be called
  std::string path;                     // of a module's file
  std::vector<std::string> parameters;  // NAME=VALUE
  bool force = false;
  std::string language = "c";
};

// `umdev module ...`.
Outcome<> list_modules(const Options& options, const ModuleOptions& module);
Outcome<> add_module(const Options& options, const ModuleOptions& module);
Outcome<> remove_module(const Options& options, const ModuleOptions& module);
// Writes the files of a new driver into a new directory.
Outcome<> new_module(const Options& options, const ModuleOptions& module);

// The commands below `umdev module`, in the parser of that.
class ModuleCommands {
 public:
  void add_to(CLI::App& parser, Options& options);
  // Runs the one that was parsed.
  Outcome<> run(const Options& options) const;

 private:
  using Command = Outcome<> (*)(const Options&, const ModuleOptions&);
  CLI::App& add(CLI::App& parser, const char* name, const char* what, Command command, Options& options);

  ModuleOptions module_;
  std::vector<std::pair<CLI::App*, Command>> commands_;
};

}  // namespace umdev::cli
