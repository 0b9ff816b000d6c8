// `umdev module`: what is loaded, and what is to be.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/umdev/module.h"
#include "apps/umdev/table.h"
#include "umdev/compile/skeleton.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* module_footer =
    R"(A module is a driver that was written against the kernel's interface, compiled by `umdev cc`. It runs
in the daemon, with the daemon's rights, so only root and the daemon's own user may load one. A first one:
  umdev module new card && cd card && make load
  umdev create card card-1)";

constexpr const char* add_footer =
    R"(Loads the module and runs what it begins with (module_init). Its parents are there when this returns:
see `umdev types`. Where it cannot begin, nothing of it is left. Parameters are the module's own:
  umdev module add ./mdpy.so count=2
A module that was built with --sanitize address can only be loaded by a daemon that began with one:
umdevd --module.)";

constexpr const char* remove_footer =
    R"(Runs what the module ends with (module_exit) and unloads it; its instances go with it. Refused (EBUSY)
while a device of it is open; --force takes that away from its users. A module that has crashed, or has no
module_exit, can only be removed with --force: what it had is taken away, its code stays in the daemon until
that ends.)";

constexpr const char* new_footer =
    R"(Makes a directory of that name with the driver's source and a Makefile; it compiles and runs as it is:
  umdev module new card                      # card/card.c; --language c++ for card/card.cc
  cd card && make load                       # compiles it, and loads it into the daemon
  umdev create card card-1)";

std::string join(const Json& list) {
  std::string text;
  for (const Json& one : list) text += (text.empty() ? "" : " ") + one.get<std::string>();
  return text;
}

}  // namespace

Outcome<> list_modules(const Options& options, const ModuleOptions&) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto answer = remote->call("modules");
  if (!answer) return std::unexpected(answer.error());
  const Json list = Json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (options.json) {
    fmt::print("{}\n", list.dump(2));
    return {};
  }
  Table table({"NAME", "API", "STATE", "INSTANCES", "OPEN", "PARENTS", "PARAMETERS"});
  for (const Json& module : list) {
    std::string parameters;
    for (const Json& parameter : module["parameters"])
      parameters += fmt::format("{}{}={}", parameters.empty() ? "" : " ",
                                parameter["name"].get<std::string>(), parameter["value"].get<std::string>());
    table.add({module["name"], module["api"], module["state"], module["instances"].dump(),
               module["open_files"].dump(), join(module["parents"]), parameters});
  }
  fmt::print("{}", table.to_string());
  for (const Json& module : list)
    if (module.contains("crash"))
      fmt::print("{} has crashed: {}\n", module["name"].get<std::string>(),
                 module["crash"].get<std::string>());
  return {};
}

namespace {

Outcome<> print_name(const Options& options, const Outcome<std::string>& answer) {
  if (!answer) return std::unexpected(answer.error());
  const Json json = Json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (options.json)
    fmt::print("{}\n", json.dump(2));
  else
    fmt::print("{}\n", json.value("name", ""));
  return {};
}

}  // namespace

Outcome<> add_module(const Options& options, const ModuleOptions& module) {
  Json parameters = Json::object();
  for (const std::string& word : module.parameters) {
    const auto sign = word.find('=');
    if (sign == 0 || sign == std::string::npos)
      return std::unexpected(
          Failure{.status = exit_usage, .text = fmt::format("module add: {}: NAME=VALUE is wanted", word)});
    parameters[word.substr(0, sign)] = word.substr(sign + 1);
  }
  std::error_code error;
  const std::string path = std::filesystem::absolute(module.path, error).lexically_normal().string();
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  return print_name(options,
                    remote->call_patiently("module_add", {{"path", path}}, "it takes its time to begin",
                                           {{"params", parameters.dump()}}));
}

Outcome<> remove_module(const Options& options, const ModuleOptions& module) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto answer = remote->call_patiently(
      "module_remove", {{"name", module.name}, {"policy", module.force ? "force" : "busy"}},
      "it takes its time to end");
  if (!answer) return std::unexpected(answer.error());
  if (options.json) fmt::print("{}\n", Json::parse(*answer, nullptr, false).dump(2));
  return {};
}

Outcome<> new_module(const Options& options, const ModuleOptions& module) {
  const auto language = module.language == "c" ? compile::Language::c : compile::Language::cxx;
  const auto files = compile::make_skeleton(module.name, language);
  if (!files) return std::unexpected(Failure{.status = exit_usage, .text = "module new: " + files.error()});
  std::error_code error;
  if (!std::filesystem::create_directory(module.name, error))
    return std::unexpected(Failure{.text = fmt::format("module new: {}: {}", module.name,
                                                       error ? error.message() : "it is there already")});
  Json written = Json::array();
  for (const compile::NewFile& file : *files) {
    const std::string path = module.name + "/" + file.name;
    std::ofstream stream(path);
    stream << file.text;
    stream.close();
    if (!stream)
      return std::unexpected(Failure{.text = fmt::format("module new: {} cannot be written", path)});
    written.push_back(path);
  }
  if (options.json)
    fmt::print("{}\n", Json{{"name", module.name}, {"files", written}}.dump(2));
  else
    fmt::print("{}: compile and load it with: make -C {} load\n", written[0].get<std::string>(), module.name);
  return {};
}

CLI::App& ModuleCommands::add(CLI::App& parser, const char* name, const char* what, Command command,
                              Options& options) {
  CLI::App* added = parser.add_subcommand(name, what);
  added->add_flag("--json", options.json, "print JSON");
  added->fallthrough();
  commands_.emplace_back(added, command);
  return *added;
}

void ModuleCommands::add_to(CLI::App& parser, Options& options) {
  parser.require_subcommand(1);
  parser.fallthrough();
  parser.footer(module_footer);
  add(parser, "list", "List the modules, their parents and parameters", list_modules, options);
  auto& adding = add(parser, "add", "Load a module", add_module, options);
  adding.add_option("FILE", module_.path, "a module that `umdev cc` has made")->required();
  adding.add_option("PARAMETER", module_.parameters, "parameters of the module: NAME=VALUE");
  adding.footer(add_footer);
  auto& removing = add(parser, "remove", "End and unload a module", remove_module, options);
  removing.add_option("NAME", module_.name, "a module, as `umdev module list` lists them")->required();
  removing.add_flag("--force", module_.force, "take its devices away from their users");
  removing.footer(remove_footer);
  auto& making = add(parser, "new", "Begin a driver that compiles and runs as it is", new_module, options);
  making.add_option("NAME", module_.name, "what it is to be called: small letters, digits, '_'")->required();
  making.add_option("--language", module_.language, "c or c++")
      ->check(CLI::IsMember({"c", "c++"}))
      ->type_name("LANGUAGE");
  making.footer(new_footer);
}

Outcome<> ModuleCommands::run(const Options& options) const {
  for (const auto& [parser, command] : commands_)
    if (parser->parsed()) return command(options, module_);
  return std::unexpected(Failure{.status = exit_usage, .text = {}});
}

}  // namespace umdev::cli
