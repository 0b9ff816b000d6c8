// What the subcommands do. Each prints its result on stdout, for people or as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/umdev/remote.h"

namespace umdev::cli {

struct Options {
  std::string runtime_directory;
  bool json = false;
  std::string parent;
  std::string type;
  std::string uuid;
  std::string pci_address;  // create: where it is shown as a PCI function
  bool force = false;
  bool defined = false;    // list: definitions instead of devices
  bool automatic = false;  // starts with the daemon
  bool manual = false;     // does not
  bool no_attributes = false;
  std::vector<std::string> attributes;  // NAME=VALUE
  std::string file;                     // a desired state, or where a capture goes
  std::string to;                       // migrate: a file, or a daemon's runtime directory
  std::string from;                     // migrate: a file
  bool uevents = false;
  std::string network_namespace;  // a path; empty: the caller's
  std::string until;
  std::optional<double> timeout;  // seconds
  std::optional<std::uint64_t> count;
};

// What stands in the metrics of a `status` answer (JSON text), as tables.
std::string summarize_metrics(const std::string& status);

Outcome<> show_parents(const Options& options);
Outcome<> show_types(const Options& options);
Outcome<> show_list(const Options& options);
Outcome<> show_instance(const Options& options);
Outcome<> show_status(const Options& options);
Outcome<> show_metrics(const Options& options);
Outcome<> show_qemu_args(const Options& options);
// Prints events as they happen, until it is told to stop.
Outcome<> watch(const Options& options);
// Prints messages as they pass, until it is told to stop.
Outcome<> trace(const Options& options);
Outcome<> create(const Options& options);
Outcome<> remove(const Options& options);
// The same, of a device that stays defined.
Outcome<> stop(const Options& options);
Outcome<> define(const Options& options);
Outcome<> undefine(const Options& options);
Outcome<> modify(const Options& options);
Outcome<> autostart(const Options& options);
Outcome<> start(const Options& options);
// Makes the devices what a file says, or says what that would do. A failure without a text is exit_changed.
Outcome<> apply(const Options& options);
Outcome<> diff(const Options& options);
// Moves an instance to another daemon or into a file, or takes one in from a file.
Outcome<> migrate(const Options& options);
// Uses an instance as a client would, and says what it has seen.
Outcome<> probe(const Options& options);

}  // namespace umdev::cli
