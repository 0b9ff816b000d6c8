// What the subcommands do. Each prints its result on stdout, for people or as JSON.
#pragma once

#include <optional>
#include <string>

#include "apps/umdev/remote.h"

namespace umdev::cli {

struct Options {
  std::string runtime_directory;
  bool json = false;
  std::string parent;
  std::string type;
  std::string uuid;
  bool force = false;
  bool uevents = false;
  std::string until;
  std::optional<double> timeout;  // seconds
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
Outcome<> create(const Options& options);
Outcome<> remove(const Options& options);
// Uses an instance as a client would, and says what it has seen.
Outcome<> probe(const Options& options);

}  // namespace umdev::cli
