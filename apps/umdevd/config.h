// The configuration file: which parents there are.
//
//   [[parent]]
//   driver = "mtty"      # one of the drivers that the daemon has
//   name = "mtty"        # the parent's name; the driver's, when it is left out
//   ports = 24           # the driver's own options
//
//   sockets = { group = "kvm", mode = "0660" }             # the files of its devices' vfio-user sockets
//   types = { "mtty-2" = { sockets = { owner = "ann" } } } # those of one type
//
//   [control]            # the control socket's file: owner and group by name or number, mode in octal
//   group = "umdev"
//   mode = "0660"
//
//   [sockets]            # the vfio-user sockets' files, where a parent or a type does not say otherwise
//   group = "kvm"
//   mode = "0660"
//
// What is not known is refused: a mistyped key would otherwise be a silent default.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/umdevd/drivers.h"
#include "umdev/os/unix_socket.h"

namespace umdev::daemon {

// Whose a file is to be. What is left out is decided one level above: type, parent, all, and at last the
// daemon's own user with mode 0600.
struct FileAccess {
  std::optional<std::uint32_t> owner;
  std::optional<std::uint32_t> group;
  std::optional<std::uint32_t> mode;

  friend bool operator==(const FileAccess&, const FileAccess&) = default;
};

struct ParentConfig {
  std::string name;
  const DriverEntry* driver = nullptr;
  std::vector<std::uint32_t> options;  // one for each of the driver's
  FileAccess sockets = {};
  std::map<std::string, FileAccess, std::less<>> type_sockets = {};  // by the type's id
};

struct Config {
  std::vector<ParentConfig> parents;
  FileAccess control = {};
  FileAccess sockets = {};
};

// The file of the socket of a device, with everything decided that the configuration decides.
os::SocketFile socket_file(const Config& config, std::string_view parent, std::string_view type);
os::SocketFile control_socket_file(const Config& config);
// Whether anybody but the daemon's own user is to reach a device's socket, or any socket at all: then the
// directories have to let them pass.
bool opens_sockets(const Config& config);
bool opens_anything(const Config& config);

// One parent of every driver, named as the driver, with its defaults.
Config default_config();

// `file` is the name that errors begin with: "FILE:LINE: KEY: what is wrong".
std::expected<Config, std::string> parse_config(std::string_view text, std::string_view file);
std::expected<Config, std::string> read_config(const std::string& path);

}  // namespace umdev::daemon
