// umdevd: hosts mediated devices for programs on this machine.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>

#include "apps/umdevd/daemon.h"
#include "apps/umdevd/log.h"
#include "apps/umdevd/module_options.h"
#include "umdev/control/paths.h"
#include "umdev/os/notify.h"
#include "umdev/os/process_limits.h"
#include "umdev/os/signal_fd.h"
#include "umdev/os/unix_socket.h"
#include "umdev/os/write_watch.h"
#include "umdev/support/uuid.h"

namespace umdev::daemon {
namespace {

constexpr const char* help_footer =
    R"(Serves until SIGTERM or SIGINT, in the foreground. Ready is told by one line on stdout, and to systemd
(Type=notify). The log goes to stderr.

In the runtime directory (default: /run/umdev for root, else $XDG_RUNTIME_DIR/umdev) lie
  control.sock           JSON-RPC 2.0, one message a line; `umdev` speaks it
  vfio-user/UUID.sock    one for each instance: what a VMM connects to
  metrics                numbers for Prometheus, as text (a file in sys/)
  sys/                   the devices as files, as sysfs shows them: `echo UUID > .../create` makes one
  umdevd.lock            held while a daemon serves this directory: there is one at most
  etc/mdevctl.d          leads to the definitions, for MDEVCTL_ENV_ROOT=RUNTIME-DIR mdevctl

In the state directory (default: /var/lib/umdev for root, else $XDG_STATE_HOME/umdev; with a --runtime-dir of
one's own, "state" in that) are the definitions of devices: mdevctl.d/PARENT/UUID, in mdevctl's own format.

Sockets may be handed over: by --fd UUID=N, and by systemd (socket units with FileDescriptorName=UUID, or
control for the control socket). An instance of that UUID is then served there, whenever it is made.

Modules are drivers of the kernel's kind, compiled by `umdev cc`. One with the name of a driver below stands
in that one's place, where there is no configuration:
  umdev cc mdpy.c -o mdpy.so && umdevd --module ./mdpy.so --module-param count=2

The configuration names the parents of which instances are made. Without one there is one parent of each
driver. Drivers and their keys:
{}
  [[parent]]
  driver = "mtty"
  name = "mtty"       # the driver's name, when left out
  ports = 24
  [control]           # whose the control socket is to be; [sockets] the same of the devices' sockets
  group = "umdev"
  mode = "0660"

Exit status: 0 ended by a signal; 1 could not start, or a driver did not come back at the end; 2 wrong
arguments or configuration.)";

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
// Long enough for every driver that answers at all: below the access deadline nothing is given up.
constexpr Duration automatic_starts_wait = std::chrono::seconds(40);

struct Arguments {
  std::string runtime_directory;
  std::string state_directory;
  std::string config;
  std::string uevents;
  std::vector<std::string> sockets;  // UUID=N
  std::vector<std::string> modules;
  std::vector<std::string> module_parameters;  // [MODULE.]NAME=VALUE
  bool no_tree = false;
  unsigned spin = 0;  // microseconds
  LogLevel log_level = LogLevel::info;
};

std::string describe_drivers() {
  std::string text;
  for (const DriverEntry& driver : all_drivers())
    for (const DriverOption& option : driver.options)
      text += fmt::format("  {:<6} {} = {} ({}, {} to {})\n", driver.name, option.key, option.fallback,
                          option.meaning, option.min, option.max);
  return text;
}

int complain(std::string_view text, int status) {
  fmt::print(stderr, "umdevd: {}\n", text);
  return status;
}

// Blocks until one of the signals comes.
Result<> wait_for_signal(const os::SignalFd& signals) {
  const auto loop = UMDEV_TRY(os::EventLoop::create());
  const auto watch = UMDEV_TRY(loop->watch(signals.get(), EPOLLIN, [&](std::uint32_t) {
    if (signals.take()) loop->stop();
  }));
  loop->run();
  return {};
}

// The sockets of --fd, and those that the service manager has passed.
std::expected<std::vector<os::PassedDescriptor>, std::string> take_sockets(const Arguments& arguments) {
  auto sockets = os::take_passed_descriptors();
  if (!sockets) return std::unexpected(std::string(sockets.error().text));
  for (const std::string& word : arguments.sockets) {
    const std::size_t sign = word.find('=');
    const std::string number = sign == std::string::npos ? "" : word.substr(sign + 1);
    int fd = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
    if (error != std::errc() || end != number.data() + number.size() || fd <= STDERR_FILENO)
      return std::unexpected(fmt::format("--fd {}: wanted UUID=NUMBER, or control=NUMBER", word));
    sockets->push_back({.name = word.substr(0, sign), .fd = os::UniqueFd(fd)});
  }
  for (const os::PassedDescriptor& socket : *sockets) {
    if (socket.name != control_socket_fd_name && !Uuid::parse(socket.name))
      return std::unexpected(fmt::format(
          R"(a socket was handed over for "{}": that is neither "control" nor a UUID)", socket.name));
    if (const auto what = os::inspect_socket(socket.fd.get()); !what)
      return std::unexpected(fmt::format("the socket for {}: {}", socket.name, what.error().text));
  }
  return std::move(*sockets);
}

DaemonOptions make_options(const Arguments& arguments, Config config, std::vector<ModuleOption> modules,
                           Log& log) {
  DaemonOptions options{.runtime_directory = arguments.runtime_directory,
                        .state_directory = arguments.state_directory,
                        .config = std::move(config),
                        .modules = std::move(modules),
                        .uevents = arguments.uevents,
                        .mount_tree = !arguments.no_tree,
                        .spin = std::chrono::microseconds(arguments.spin)};
  const auto descriptors = os::raise_descriptor_limit();
  if (!descriptors) log.warning("the descriptor limit cannot be raised");
  budget(options, descriptors.value_or(1024), os::mapping_limit());
  log.info(fmt::format("{} descriptors: at most {} instances; {} mappings of client memory",
                       descriptors.value_or(1024), options.limits.instances,
                       options.vfio_user_limits.file_mappings));
  return options;
}

int serve(const Arguments& arguments, Config config, std::vector<ModuleOption> modules) {
  auto sockets = take_sockets(arguments);
  if (!sockets) return complain(sockets.error(), exit_usage);
  // Before any thread runs: none of them shall get these.
  auto signals = os::SignalFd::create({SIGTERM, SIGINT});
  if (!signals) return complain(signals.error().text, exit_failure);
  std::signal(SIGPIPE, SIG_IGN);
  StderrLog log(arguments.log_level);
  // Of this process's threads, and so beside the daemon's world; it ends after the last of them has.
  const auto watch = os::WriteWatch::start();
  if (!watch) log.warning(fmt::format("interrupts will cost more: {}", watch.error().text));
  auto daemon = Daemon::start(make_options(arguments, std::move(config), std::move(modules), log), log,
                              std::move(*sockets));
  if (!daemon) return complain(daemon.error(), exit_failure);
  if (!(*daemon)->wait_for_automatic_starts(automatic_starts_wait))
    log.warning("not everything that is defined has been started yet; going on without it");
  fmt::print("umdevd: ready, serving {}\n", (*daemon)->runtime_directory());
  std::fflush(stdout);
  if (auto told = os::notify_service_manager("READY=1"); !told) log.warning(told.error().text);
  const Result<> waited = wait_for_signal(*signals);
  if (auto told = os::notify_service_manager("STOPPING=1"); !told) log.warning(told.error().text);
  if (!(*daemon)->stop()) ::_exit(exit_failure);
  return waited ? 0 : complain(waited.error().text, exit_failure);
}

// A daemon in a place of its own keeps its state there too, so that it never takes the host's; --state-dir
// says otherwise.
Result<> find_directories(Arguments& arguments) {
  const auto usual = control::default_runtime_directory();
  if (arguments.runtime_directory.empty()) arguments.runtime_directory = UMDEV_TRY(usual);
  if (!arguments.state_directory.empty()) return {};
  const auto normal = [](const std::string& path) {
    return std::filesystem::path(path + "/").lexically_normal();
  };
  if (usual && normal(arguments.runtime_directory) == normal(*usual))
    arguments.state_directory = UMDEV_TRY(control::default_state_directory());
  return {};
}

int run(const Arguments& given, char** words) {
  Arguments arguments = given;
  if (auto found = find_directories(arguments); !found) return complain(found.error().text, exit_usage);
  auto config = arguments.config.empty() ? default_config() : read_config(arguments.config);
  if (!config) return complain(config.error(), exit_usage);
  auto modules = parse_modules(arguments.modules, arguments.module_parameters);
  if (!modules) return complain(modules.error(), exit_usage);
  if (const auto started = start_with_sanitizer(*modules, words); !started)
    return complain(started.error(), exit_failure);
  if (arguments.config.empty()) leave_place(*config, *modules);
  return serve(arguments, std::move(*config), std::move(*modules));
}

}  // namespace
}  // namespace umdev::daemon

int main(int count, char** values) {
  using umdev::LogLevel;
  CLI::App app("Hosts mediated devices for the programs of this machine.", "umdevd");
  umdev::daemon::Arguments arguments;
  app.add_option("--runtime-dir", arguments.runtime_directory, "where the sockets are; made when missing")
      ->type_name("DIR");
  app.add_option("--state-dir", arguments.state_directory, "what outlives a restart; made when missing")
      ->type_name("DIR");
  app.add_option("--config", arguments.config, "which parents there are")->type_name("FILE.toml");
  app.add_option("--uevents", arguments.uevents,
                 "send uevents into a network namespace: its path (/run/netns/NAME), or self")
      ->type_name("NETNS");
  app.add_option("--fd", arguments.sockets,
                 "serve this instance on a socket that was handed over: listening, or connected")
      ->type_name("UUID=N");
  app.add_option("--module", arguments.modules, "load a driver that `umdev cc` has made; may be repeated")
      ->type_name("FILE.so");
  app.add_option("--module-param", arguments.module_parameters,
                 "a parameter of a module: with several modules MODULE.NAME=VALUE; may be repeated")
      ->type_name("NAME=VALUE");
  app.add_flag("--no-tree", arguments.no_tree, "do not mount the tree at RUNTIME/sys");
  app.add_option("--spin", arguments.spin,
                 "let workers look so long for work before they sleep, where a processor is left over")
      ->check(CLI::Range(0, 1000))
      ->type_name("MICROSECONDS");
  std::string level = "info";
  app.add_option("--log-level", level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->type_name("LEVEL");
  app.set_version_flag("--version", "umdevd " UMDEV_VERSION);
  app.footer([] { return fmt::format(umdev::daemon::help_footer, umdev::daemon::describe_drivers()); });
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {  // how CLI11 says so, --help included
    return app.exit(error) == 0 ? 0 : umdev::daemon::exit_usage;
  }
  const std::map<std::string, LogLevel> levels{{"debug", LogLevel::debug},
                                               {"info", LogLevel::info},
                                               {"warning", LogLevel::warning},
                                               {"error", LogLevel::error}};
  arguments.log_level = levels.at(level);
  return umdev::daemon::run(arguments, values);
}
