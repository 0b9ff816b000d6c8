// The configuration file: which parents there are.
//
//   [[parent]]
//   driver = "mtty"      # one of the drivers that the daemon has
//   name = "mtty"        # the parent's name; the driver's, when it is left out
//   ports = 24           # the driver's own options
//
// What is not known is refused: a mistyped key would otherwise be a silent default.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "apps/umdevd/drivers.h"

namespace umdev::daemon {

struct ParentConfig {
  std::string name;
  const DriverEntry* driver = nullptr;
  std::vector<std::uint32_t> options;  // one for each of the driver's
};

struct Config {
  std::vector<ParentConfig> parents;
};

// One parent of every driver, named as the driver, with its defaults.
Config default_config();

// `file` is the name that errors begin with: "FILE:LINE: KEY: what is wrong".
std::expected<Config, std::string> parse_config(std::string_view text, std::string_view file);
std::expected<Config, std::string> read_config(const std::string& path);

}  // namespace umdev::daemon
