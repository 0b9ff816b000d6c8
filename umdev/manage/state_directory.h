// What outlives the daemon: the state directory, and the names by which mdevctl finds it.
//
//   STATE/mdevctl.d/PARENT/UUID                      definitions, as mdevctl writes them
//   STATE/mdevctl.d/scripts.d/{callouts,notifiers}   mdevctl 1.2 refuses to work without
//   STATE/owners.d/PARENT/UUID                       whose a definition is
//   STATE/kept.d/PARENT/UUID                         states of devices, from one daemon to the next
//   STATE/scratch.d/                                 files on their way to their place
//   STATE/umdevd.lock                                held while a daemon uses it
#pragma once

#include <memory>
#include <string>

#include "umdev/os/directory.h"

namespace umdev::manage {

inline constexpr std::string_view definitions_name = "mdevctl.d";
inline constexpr std::string_view owners_name = "owners.d";
inline constexpr std::string_view kept_name = "kept.d";
inline constexpr std::string_view scratch_name = "scratch.d";
inline constexpr std::string_view scripts_name = "scripts.d";  // mdevctl's own, among the parents
inline constexpr std::string_view state_lock_name = "umdevd.lock";

// A state directory that belongs to this process. Constant, so any thread.
class StateDirectory {
 public:
  // Makes it, takes it, and removes what a crash has left half done. EBUSY: another daemon has it; the errors
  // of making directories.
  static Result<std::unique_ptr<StateDirectory>> claim(const std::string& path);

  const std::string& path() const { return path_; }
  std::string definitions() const { return path_ + "/" + std::string(definitions_name); }
  std::string owners() const { return path_ + "/" + std::string(owners_name); }
  std::string kept() const { return path_ + "/" + std::string(kept_name); }
  std::string scratch() const { return path_ + "/" + std::string(scratch_name); }

 private:
  StateDirectory(std::string path, os::LockFile lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  const std::string path_;
  const os::LockFile lock_;
};

// Lets an unmodified mdevctl find the definitions, and everything it insists on, below `root`
// (MDEVCTL_ENV_ROOT): root/etc/mdevctl.d leads to `definitions`, and root/usr/lib/mdevctl/scripts.d has
// callouts and notifiers. EEXIST: something that is no link is in the way of etc/mdevctl.d.
Result<> make_mdevctl_root(const std::string& root, const std::string& definitions);

}  // namespace umdev::manage
