#include "umdev/control/paths.h"

#include <unistd.h>

#include <cstdlib>

namespace umdev::control {
namespace {

// The value of a variable that names a directory; the specification of XDG has relative ones ignored.
std::string directory_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && value[0] == '/' ? value : std::string();
}

}  // namespace

Result<std::string> default_runtime_directory() {
  if (::geteuid() == 0) return "/run/umdev";
  const std::string base = directory_of("XDG_RUNTIME_DIR");
  if (base.empty()) return fail(ENOENT, "XDG_RUNTIME_DIR is not set; say --runtime-dir DIR");
  return base + "/umdev";
}

Result<std::string> default_state_directory() {
  if (::geteuid() == 0) return "/var/lib/umdev";
  const std::string base = directory_of("XDG_STATE_HOME");
  if (!base.empty()) return base + "/umdev";
  const std::string home = directory_of("HOME");
  if (home.empty()) return fail(ENOENT, "neither XDG_STATE_HOME nor HOME is set; say --state-dir DIR");
  return home + "/.local/state/umdev";
}

std::string control_socket(const std::string& runtime_directory) {
  return runtime_directory + "/" + std::string(control_socket_name);
}

}  // namespace umdev::control
