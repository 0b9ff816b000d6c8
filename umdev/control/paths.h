// Where a daemon is found: the names that the daemon and its clients share.
#pragma once

#include <string>

#include "umdev/support/error.h"

namespace umdev::control {

inline constexpr std::string_view control_socket_name = "control.sock";
inline constexpr std::string_view vfio_user_directory_name = "vfio-user";
inline constexpr std::string_view tree_directory_name = "sys";
inline constexpr std::string_view nodes_directory_name = "dev";
inline constexpr std::string_view lock_file_name = "umdevd.lock";

// /run/umdev for root, $XDG_RUNTIME_DIR/umdev for everybody else; ENOENT when that variable is not set. Reads
// the environment: before other threads change it.
Result<std::string> default_runtime_directory();

// The same for what outlives a reboot: /var/lib/umdev, or $XDG_STATE_HOME/umdev ($HOME/.local/state/umdev).
Result<std::string> default_state_directory();

// DIRECTORY/control.sock.
std::string control_socket(const std::string& runtime_directory);

}  // namespace umdev::control
