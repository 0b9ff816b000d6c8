// `umdev run`: a program that sees the daemon's tree in /sys.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "apps/umdev/commands.h"

namespace umdev::cli {

struct RunOptions {
  std::vector<std::string> program;  // with its arguments
  bool explain = false;              // only say what would be seen
  bool cover = false;                // make the places that mdevctl wants where the host lacks them
};

// The words of a command line: umdev's own, and those that belong to somebody else: the program that `run` is
// to run, or behind -- the compiler of `cc`. For every other subcommand all are umdev's own.
struct SplitWords {
  std::vector<std::string> own;
  std::vector<std::string> rest;
  bool is_run = false;
};
SplitWords split_words(std::span<char* const> words);

// Does not come back when the program has been started.
Outcome<> run_program(const Options& options, const RunOptions& run);

}  // namespace umdev::cli
