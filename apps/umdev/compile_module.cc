// `umdev cc`: makes a module of a driver's sources with the system's compiler and our kernel headers.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/umdev/module.h"
#include "umdev/compile/command.h"
#include "umdev/compile/vintage.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

constexpr const char* compile_footer =
    R"(Compiles a driver as it is, against headers that have the kernel's names, into a module for umdevd:
  umdev cc mtty.c -o mtty.so
  umdevd --module ./mtty.so                  # or, where a daemon runs: umdev module add ./mtty.so
The kernel's interface for drivers has changed several times. Which one a source was written for is seen by
the names it uses, and told; --api says otherwise:
  4.10     to 5.12: mdev_parent_ops, vfio_add_group_dev()
  5.13-rc  vfio_init_group_dev() with device_data, which was in no release
  5.13     to 5.15: an embedded struct vfio_device
  5.16     to 6.0: vfio_register_emulated_iommu_dev()
  6.1      vfio_alloc_device(), mdev_register_parent()
  6.12     from 6.2 on, with bind_iommufd() and what came with it
  7.0      get_region_info_caps(), vfio_check_precopy_ioctl()
The compiler is $CC (for C++ $CXX), else cc (c++). What stands behind -- is given to it:
  umdev cc driver.c -o driver.so -- -O0 -Wextra
A debugger takes the daemon, and what runs in it:
  gdb --args umdevd --module ./driver.so     # (gdb) break driver_read, (gdb) run
--sanitize names each mistake with its line in the log, and the daemon goes on behind it.
Headers: those that belong to this umdev, or the directory in $UMDEV_KERNEL_HEADERS.)";

Failure refused(std::string text, int status = exit_refused) {
  return {.status = status, .text = "cc: " + std::move(text)};
}

Outcome<std::vector<compile::SourceText>> read_sources(const Words& paths) {
  std::vector<compile::SourceText> sources;
  for (const std::string& path : paths) {
    std::ifstream file(path);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file) return std::unexpected(refused(fmt::format("{}: {}", path, std::strerror(errno))));
    sources.push_back({.name = path, .text = std::move(text).str()});
  }
  return sources;
}

Words compiler_of(const char* variable, const char* usual) {
  const char* value = std::getenv(variable);
  Words words = compile::split_words(value != nullptr ? value : "");
  return words.empty() ? Words{usual} : words;
}

// The same way from the program to the headers where it was built and where it is installed.
Outcome<std::string> find_headers() {
  std::error_code error;
  std::filesystem::path headers;
  if (const char* given = std::getenv("UMDEV_KERNEL_HEADERS"); given != nullptr)
    headers = given;
  else
    headers = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path() /
              "include/umdev/kernel";
  if (std::filesystem::exists(headers / "linux/vfio.h", error)) return headers.string();
  return std::unexpected(refused(
      fmt::format("{}: there are no kernel headers; say where in UMDEV_KERNEL_HEADERS", headers.string())));
}

Outcome<compile::Choice> choose(const CompileOptions& options) {
  if (!options.vintage.empty()) {
    const auto vintage = compile::find_vintage(options.vintage);
    if (!vintage) return std::unexpected(refused("--api: no such interface", exit_usage));
    return compile::Choice{.vintage = *vintage, .because = {}};
  }
  const auto sources = read_sources(options.sources);
  if (!sources) return std::unexpected(sources.error());
  auto choice = compile::choose_vintage(*sources);
  if (!choice) return std::unexpected(refused(choice.error()));
  return std::move(*choice);
}

Outcome<Words> command_for(const CompileOptions& options, compile::Vintage vintage) {
  compile::Request request{.sources = options.sources,
                           .output = options.output,
                           .vintage = vintage,
                           .sanitizers = {},
                           .coverage = options.coverage,
                           .extra = options.extra};
  if (!options.sanitizers.empty()) {
    auto sanitizers = compile::parse_sanitizers(options.sanitizers);
    if (!sanitizers) return std::unexpected(refused(sanitizers.error(), exit_usage));
    request.sanitizers = std::move(*sanitizers);
  }
  auto headers = find_headers();
  if (!headers) return std::unexpected(headers.error());
  auto words = compile::make_command(
      request,
      {.c = compiler_of("CC", "cc"), .cxx = compiler_of("CXX", "c++"), .headers = std::move(*headers)});
  if (!words) return std::unexpected(refused(words.error(), exit_usage));
  return std::move(*words);
}

Outcome<> run(const Words& words) {
  std::vector<char*> values;
  for (const std::string& word : words) values.push_back(const_cast<char*>(word.c_str()));
  values.push_back(nullptr);
  pid_t child = 0;
  if (const int error = ::posix_spawnp(&child, values.front(), nullptr, nullptr, values.data(), environ);
      error != 0)
    return std::unexpected(
        refused(fmt::format("{}: {}; a C compiler is needed (gcc or clang), $CC says which", words.front(),
                            std::strerror(error))));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return std::unexpected(refused(fmt::format("{} did not succeed", words.front())));
}

}  // namespace

Outcome<> compile_module(const Options& options, const CompileOptions& compile) {
  const auto choice = choose(compile);
  if (!choice) return std::unexpected(choice.error());
  const auto words = command_for(compile, choice->vintage);
  if (!words) return std::unexpected(words.error());
  if (!options.json && compile.vintage.empty()) fmt::print(stderr, "umdev cc: {}\n", describe(*choice));
  if (compile.verbose) fmt::print(stderr, "{}\n", compile::quote(*words));
  if (auto done = run(*words); !done) return done;
  if (!options.json) return {};
  Json because = Json::array();
  for (const compile::Evidence& evidence : choice->because)
    because.push_back({{"file", evidence.file},
                       {"line", evidence.line},
                       {"name", evidence.name + evidence.note},
                       {"since", name_of(evidence.first)},
                       {"until", name_of(evidence.last)}});
  fmt::print("{}\n", Json{{"module", compile::module_name_of(compile.output)},
                          {"output", compile.output},
                          {"api", name_of(choice->vintage)},
                          {"because", because},
                          {"command", *words}}
                         .dump(2));
  return {};
}

void add_compile_options(CLI::App& parser, CompileOptions& compile) {
  std::vector<std::string> names;
  for (const compile::Vintage vintage : compile::all_vintages()) names.emplace_back(name_of(vintage));
  parser.add_option("SOURCE", compile.sources, "the driver's sources: C (.c), or C++ (.cc, .cpp)")
      ->required();
  parser.add_option("-o,--output", compile.output, "the module to make")->required()->type_name("FILE.so");
  parser.add_option("--api", compile.vintage, "the kernel's interface it is written for")
      ->check(CLI::IsMember(names))
      ->type_name("VERSION");
  parser.add_option("--sanitize", compile.sanitizers, "check it while it runs: address, undefined, or both")
      ->type_name("LIST");
  parser.add_flag("--coverage", compile.coverage,
                  "count which of its lines run: the daemon's end writes that for gcov");
  parser.add_flag("-v,--verbose", compile.verbose, "print the compiler's command");
  parser.footer(compile_footer);
}

}  // namespace umdev::cli
