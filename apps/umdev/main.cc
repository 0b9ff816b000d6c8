// umdev: asks and tells a daemon.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>
#include <cstdio>
#include <optional>
#include <span>

#include "apps/umdev/commands.h"
#include "apps/umdev/module.h"
#include "apps/umdev/run.h"
#include "umdev/control/paths.h"
#include "umdev/run/program.h"

namespace umdev::cli {
namespace {

constexpr const char* help_footer = R"(A first session:
  umdevd &                                   # the daemon; see umdevd --help
  umdev types                                # what can be made
  uuid=$(umdev create mtty mtty-2)           # make a two-port serial card
  umdev show $uuid                           # what it is, and who uses it
  eval qemu-system-x86_64 ... $(umdev qemu-args $uuid)
  umdev remove $uuid
  umdev run mdevctl types                    # any program, with the devices in its /sys
  umdev module new card && make -C card load # a driver of one's own, with the kernel's interface

The daemon is looked for in --runtime-dir, else $UMDEV_RUNTIME_DIR, else /run/umdev (root) or
$XDG_RUNTIME_DIR/umdev. Scripts: --json, whose fields are never renamed, and the exit status:
  0 done; 1 refused, and the text on stderr says why; 2 wrong arguments; 3 no daemon was reached;
  10 apply has changed something, diff has found something to change.)";

constexpr const char* qemu_footer =
    R"(QEMU 10.1 or later, with vfio-user-pci. The line is quoted for a shell, so use eval, or paste it:
  eval qemu-system-x86_64 ... $(umdev qemu-args UUID)

A device that reads or writes the guest's memory reaches only memory that QEMU shares. Give the guest memory
that can be shared, or such devices will not work:
  -object memory-backend-memfd,id=memory,size=1G,share=on -machine q35,memory-backend=memory -m 1G

QEMU takes socket paths of at most 107 bytes. Where the runtime directory's is longer, the path leads
through /proc/PID/fd of the daemon: that works for the daemon's own user and root, while that daemon runs.)";

constexpr const char* create_footer =
    R"(Prints the UUID. The instance can be used when this returns; it lives until it is removed, or the
daemon ends.
  umdev create mtty mtty-2
  umdev create mtty mtty-1 --uuid 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
  umdev create ioat ioat-1 --pci 0000:00:05.0    # in the tree also as bus/pci/devices/0000:00:05.0)";

constexpr const char* remove_footer =
    R"(Waits until the users have let go: the instance is hidden from new ones at once. Interrupting the
wait does not call the removal off. --force takes the device away from its users, and ends the wait of
another remove.)";

constexpr const char* watch_footer =
    R"(Prints a line for each event: the kernel's uevents (add, bind, change, unbind, remove, ...), sent when
what they tell of is complete, and the daemon's own (defined, undefined, ...). The first line (with --json
{"event": "watching"}) says that from here on nothing is missed. Who reads too slowly loses events; a line
"lost" says so. Scripts wait with --until instead of sleeping:
  coproc watch { umdev watch --json --until remove --timeout 10 $uuid; }
  read -u ${watch[0]}                        # it watches
--uevents also gives the events to the kernel, which sends them to everyone who listens in the caller's
network namespace, udev above all. That needs CAP_SYS_ADMIN over the namespace, for instance
  unshare --user --map-root-user --net umdev watch --uevents
Exit status: 0 ended by SIGINT or SIGTERM, by the end of its reader or of the time, or --until's event has
come; 1 it has not; 3 the daemon has gone.)";

constexpr const char* trace_footer =
    R"(Prints a line for each vfio-user message as it passes: -> from the client, <- from the device, with the
time that an answer took. The first line (with --json {"event": "tracing"}) says that from here on nothing
is missed; who reads too slowly loses messages, and is told how many. The first 4096 bytes of a message are
kept.
  umdev trace $uuid --count 20               # what a guest does with its device
  umdev trace $uuid --pcap boot.pcap         # and a capture of it
  umdev trace $uuid --pcap - | wireshark -k -i - -X lua_script:tools/wireshark/vfio-user.lua
Only root, the daemon's own user and whoever made the instance may look.
Exit status: 0 ended by SIGINT or SIGTERM, by the end of its reader, of the time or of the count; 1 refused;
3 the daemon has gone.)";

constexpr const char* define_footer =
    R"(Prints the UUID. What is defined is written down, in mdevctl's own format, and outlives the daemon; it
is durable when this returns. Nothing is started: `umdev start` does that now, --auto whenever the daemon
starts. Attributes are written to the device's files when it starts, in the order in which they stand here.
  umdev define mtty mtty-2 --auto
  umdev define null null-1 --uuid 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --attr uevent=change
  umdev define --uuid UUID              # what is active now, as it is)";

constexpr const char* modify_footer =
    R"(What is not said stays. --attr replaces all attributes: say every one, in order. A device that is
running stays as it is until it is stopped and started.)";

constexpr const char* start_footer =
    R"(Makes the device that is defined, and writes its attributes. When an attribute is refused, the device
is removed again. It can be used when this returns.)";

constexpr const char* stop_footer =
    R"(Removes the device, as `umdev remove` does; its definition stays. Waits until the users have let go.)";

constexpr const char* apply_footer =
    R"(The file (TOML; JSON when it is called .json) says what there is to be:
  set = "ci"                  # what is made belongs to this set, and nothing else is ever touched
  [[instances]]
  parent = "mtty"
  type = "mtty-2"
  count = 3                   # under whatever UUIDs; or uuids = ["83b8...", ...]
  autostart = true            # the default: they come back with the daemon
  attrs = [{ "uevent" = "change" }]
Devices of the set that the file does not ask for are removed, unless somebody uses them: then that step
fails. Doing it again changes nothing. Exit status: 0 nothing had to be changed, 10 it was (diff: it would
be), 1 something failed.)";

constexpr const char* probe_footer =
    R"(Connects as a VMM would and prints what it finds. Serial cards are set up, and bytes are sent
through each port and back, with interrupts; the device is reset afterwards. Refused (EBUSY) while
somebody uses the instance.)";

constexpr const char* migrate_footer =
    R"(  umdev migrate UUID --to DIR    moves it to the daemon that serves this runtime directory
  umdev migrate UUID --to FILE   moves it into a file
  umdev migrate --from FILE      and back, to this daemon
The instance keeps its UUID and its state: registers, what waits in its buffers, configuration space.
It is removed here only when it has arrived; otherwise it runs on. A client that is connected goes on
at the other daemon and notices nothing; where it cannot, this says why, and it has to connect again,
as it has to after a file: it finds the device as it was, and sets up its memory and interrupts anew.)";

constexpr const char* run_footer =
    R"(The program runs in a mount namespace of its own, in which
  /sys/class/mdev_bus, /sys/class/vfio*, /sys/bus/mdev, /sys/kernel/iommu_groups and the parents under
  /sys/devices/virtual are the daemon's; everything else of /sys stays as it is, and can be written;
  /etc/mdevctl.d holds the daemon's definitions;
  /dev/vfio and /dev/iommu are the daemon's: VFIO programs find its devices (docs/unmodified-programs.md).
Nothing outside the namespace changes, and nothing is left when the program has ended.

  umdev run mdevctl types
  umdev run -- sh -c 'uuidgen > /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create'
  umdev run -- ./my-vfio-driver UUID
  umdev run --explain            # what would be covered, kept, shown and hidden

umdev becomes the program: signals, the terminal and the exit status are the program's own. Before that, like
env(1): 125 it could not be run here, 126 it is no executable, 127 there is no such program.

Needs root, or a machine that lets its users make user namespaces: the program is then in one, as the same
user and group, and cannot gain privileges (sudo). UMDEV_RUNTIME_DIR is set for the program, and
SYSTEMD_DEVICE_VERIFY_SYSFS=0, without which libudev wants devices to lie on a real sysfs.)";

using Command = Outcome<> (*)(const Options&);

// One subcommand: its place in the parser and what it does.
struct Subcommand {
  CLI::App* parser;
  Command command;
};

class Program {
 public:
  // What SIGPIPE did before this process ignored it is what it does in a program that is run.
  explicit Program(decltype(SIG_DFL) sigpipe)
      : sigpipe_(sigpipe), app_("Makes, shows and removes mediated devices of an umdevd.", "umdev") {
    app_.add_option("--runtime-dir", options_.runtime_directory, "the daemon's runtime directory")
        ->envname("UMDEV_RUNTIME_DIR")
        ->type_name("DIR");
    app_.set_version_flag("--version", "umdev " UMDEV_VERSION);
    app_.require_subcommand(1);
    app_.footer(help_footer);
    add_listings();
    add_definitions();
    add_actions();
    add_run();
    add_modules();
  }

  int run(int count, char** values) {
    SplitWords words = split_words(std::span(values, static_cast<std::size_t>(count)));
    run_options_.program = words.rest;
    compile_options_.extra = std::move(words.rest);
    const int wrong = words.is_run ? run::exit_not_run : exit_usage;
    try {
      std::vector<std::string> own(words.own.rbegin(), std::prev(words.own.rend()));  // as CLI11 wants them
      app_.parse(std::move(own));
    } catch (const CLI::ParseError& error) {  // how CLI11 says so, --help included
      return app_.exit(error) == 0 ? 0 : wrong;
    }
    if (options_.runtime_directory.empty()) {
      auto directory = control::default_runtime_directory();
      if (!directory) return complain({.status = wrong, .text = std::string(directory.error().text)});
      options_.runtime_directory = std::move(*directory);
    }
    if (run_->parsed()) {
      std::signal(SIGPIPE, sigpipe_);
      return finish(run_program(options_, run_options_));
    }
    if (module_->parsed()) return finish(module_commands_.run(options_));
    if (compile_->parsed()) return finish(compile_module(options_, compile_options_));
    for (const Subcommand& subcommand : subcommands_)
      if (subcommand.parser->parsed()) return finish(subcommand.command(options_));
    return exit_usage;
  }

 private:
  CLI::App& add(const char* name, const char* what, Command command) {
    CLI::App* parser = app_.add_subcommand(name, what);
    parser->add_flag("--json", options_.json, "print JSON");
    parser->fallthrough();  // --runtime-dir may stand behind the subcommand too
    subcommands_.push_back({parser, command});
    return *parser;
  }

  void add_listings() {
    add("parents", "List what instances can be made of", show_parents);
    add("types", "List the types of each parent, and how many more can be made", show_types);
    auto& listing = add("list", "List the instances, or what is defined", show_list);
    listing.add_flag("--defined", options_.defined,
                     "list definitions: active or not, and what is wrong with them");
    add_uuid(add("show", "Show an instance: regions, interrupts, users, socket", show_instance));
    add("status", "Show sessions, mappings, pins and counters of the daemon", show_status);
    add("metrics", "Print all numbers of the daemon, as Prometheus reads them", show_metrics);
    auto& watching = add("watch", "Show what happens, as it happens", watch);
    watching.add_option("UUID", options_.uuid, "only what is about this instance");
    CLI::Option* uevents =
        watching.add_flag("--uevents", options_.uevents, "send them as uevents into this network namespace");
    watching.add_option("--netns", options_.network_namespace, "into the one at this path instead")
        ->needs(uevents)
        ->type_name("PATH");
    watching.add_option("--until", options_.until, "end when an event of this name has come")
        ->type_name("EVENT");
    watching.add_option("--timeout", options_.timeout, "end after so long")
        ->type_name("SECONDS")
        ->check(CLI::NonNegativeNumber);
    watching.footer(watch_footer);
    auto& tracing = add("trace", "Show the messages between an instance and its clients", trace);
    add_uuid(tracing);
    tracing
        .add_option("--pcap", options_.file,
                    "write a capture for Wireshark; - is stdout, then nothing else is")
        ->type_name("FILE");
    tracing.add_option("--count", options_.count, "end after so many messages")->type_name("NUMBER");
    tracing.add_option("--timeout", options_.timeout, "end after so long")
        ->type_name("SECONDS")
        ->check(CLI::NonNegativeNumber);
    tracing.footer(trace_footer);
    auto& qemu = add("qemu-args", "Print the QEMU arguments that attach an instance", show_qemu_args);
    add_uuid(qemu);
    qemu.footer(qemu_footer);
  }

  void add_actions() {
    auto& making = add("create", "Make an instance and print its UUID", create);
    making.add_option("PARENT", options_.parent, "a parent, as `umdev parents` lists them")->required();
    making.add_option("TYPE", options_.type, "one of its types, as `umdev types` lists them")->required();
    making.add_option("--uuid", options_.uuid, "its UUID; a random one when left out")->type_name("UUID");
    making.add_option("--pci", options_.pci_address, "show it as a PCI function too, as 0000:00:05.0")
        ->type_name("ADDRESS");
    making.footer(create_footer);
    auto& removing = add("remove", "Remove an instance", remove);
    add_uuid(removing);
    removing.add_flag("--force", options_.force, "take it away from its users");
    removing.footer(remove_footer);
    auto& moving = add("migrate", "Move an instance to another daemon or into a file, and back", migrate);
    auto* uuid = moving.add_option("UUID", options_.uuid, "an instance, as `umdev list` lists them");
    auto* to = moving.add_option("--to", options_.to, "a file that is not there yet, or a runtime directory")
                   ->type_name("FILE|DIR")
                   ->needs(uuid);
    uuid->needs(to);
    moving.add_option("--from", options_.from, "take in what is in this file")
        ->type_name("FILE")
        ->excludes(to);
    moving
        .add_option("--parent", options_.parent, "the parent there; the one of the same name when left out")
        ->type_name("PARENT");
    moving.footer(migrate_footer);
    auto& probing = add("probe", "Use an instance for a moment, and say what was seen", probe);
    add_uuid(probing);
    probing.footer(probe_footer);
  }

  void add_modules() {
    compile_ = &add("cc", "Compile a driver of the kernel's kind into a module", nullptr);
    add_compile_options(*compile_, compile_options_);
    module_ =
        app_.add_subcommand("module", "Load and remove drivers of the kernel's kind, or begin a new one");
    module_commands_.add_to(*module_, options_);
  }

  void add_run() {
    run_ = app_.add_subcommand("run", "Run a program that sees the daemon's tree in /sys");
    run_->fallthrough();
    run_->add_option("PROGRAM", run_options_.program,
                     "what to run, and its arguments; -- may stand before it");
    run_->add_flag("--explain", run_options_.explain, "print what would be seen, and run nothing");
    run_->add_flag(
        "--cover", run_options_.cover,
        "where the host lacks /etc/mdevctl.d or /usr/lib/mdevctl/scripts.d, cover the directory above "
        "with one that has it (done for a program called mdevctl; see docs/running-programs.md)");
    run_->footer(run_footer);
  }

  void add_definitions() {
    auto& defining = add("define", "Write a device down, so that it outlives the daemon", define);
    auto* parent = defining.add_option("PARENT", options_.parent, "a parent, as `umdev parents` lists them");
    parent->needs(
        defining.add_option("TYPE", options_.type, "one of its types, as `umdev types` lists them"));
    defining.add_option("--uuid", options_.uuid, "its UUID; a random one when left out")->type_name("UUID");
    defining.add_flag("--auto", options_.automatic, "start it whenever the daemon starts");
    add_attributes(defining);
    defining.footer(define_footer);
    add_definition("undefine", "Forget a definition; what is running stays", undefine);
    auto& modifying = add_definition("modify", "Change a definition", modify);
    modifying.add_option("--type", options_.type, "its type from now on")->type_name("TYPE");
    auto* automatic = modifying.add_flag("--auto", options_.automatic, "start it whenever the daemon starts");
    modifying.add_flag("--manual", options_.manual, "do not")->excludes(automatic);
    auto* attributes = add_attributes(modifying);
    modifying.add_flag("--no-attrs", options_.no_attributes, "no attributes")->excludes(attributes);
    modifying.footer(modify_footer);
    auto& automating =
        add_definition("autostart", "Start a definition whenever the daemon starts", autostart);
    automating.add_flag("--off", options_.manual, "do not, from now on");
    add_definition("start", "Start what is defined", start).footer(start_footer);
    auto& stopping = add("stop", "Stop a device, and keep its definition", stop);
    add_uuid(stopping);
    stopping.add_flag("--force", options_.force, "take it away from its users");
    stopping.footer(stop_footer);
    add_file(add("apply", "Make the devices of a set what a file says", apply));
    add_file(add("diff", "Say what `umdev apply` would do", diff));
  }

  void add_file(CLI::App& parser) {
    parser.add_option("FILE", options_.file, "the desired state")->required();
    parser.footer(apply_footer);
  }

  CLI::App& add_definition(const char* name, const char* what, Command command) {
    CLI::App& parser = add(name, what, command);
    parser.add_option("UUID", options_.uuid, "a definition, as `umdev list --defined` lists them")
        ->required();
    parser.add_option("--parent", options_.parent, "which one, where several parents have it")
        ->type_name("PARENT");
    return parser;
  }

  CLI::Option* add_attributes(CLI::App& parser) {
    return parser.add_option("--attr", options_.attributes, "an attribute of the device; may be repeated")
        ->type_name("NAME=VALUE")
        ->take_all()
        ->allow_extra_args(false);
  }

  void add_uuid(CLI::App& parser) {
    parser.add_option("UUID", options_.uuid, "an instance, as `umdev list` lists them")->required();
  }

  static int complain(const Failure& failure) {
    if (!failure.text.empty()) fmt::print(stderr, "umdev: {}\n", failure.text);
    return failure.status;
  }

  static int finish(const Outcome<>& outcome) {
    if (!outcome) return complain(outcome.error());
    if (std::fflush(stdout) == 0) return 0;
    return complain({.text = "the output cannot be written"});
  }

  decltype(SIG_DFL) sigpipe_;
  CLI::App app_;
  Options options_;
  RunOptions run_options_;
  CLI::App* run_ = nullptr;
  CompileOptions compile_options_;
  CLI::App* compile_ = nullptr;
  ModuleCommands module_commands_;
  CLI::App* module_ = nullptr;
  std::vector<Subcommand> subcommands_;
};

}  // namespace
}  // namespace umdev::cli

int main(int count, char** values) {
  const auto sigpipe = std::signal(SIGPIPE, SIG_IGN);
  return umdev::cli::Program(sigpipe).run(count, values);
}
