// What stands beside a program and makes the calls for it that a file system cannot carry.
#pragma once

#include <string>

#include "umdev/os/unique_fd.h"

namespace umdev::run {

// A process of its own: it holds files of the daemon's mount, which the daemon itself must not (who serves a
// file system and waits for it, too, never ends). It is nobody's child, in a session of its own, has none of
// the program's descriptors, and ends with the last process that has the filter. It serves nothing that the
// program could not do itself: it has the program's user, and is outside its user namespace.
class Supervisor {
 public:
  // To be called before enter_namespaces(), by a process of one thread, which is the one that will become the
  // program. `mount` is the path of the daemon's device nodes. EAGAIN, ENOENT.
  static Result<Supervisor> start(const std::string& mount);

  // Installs the filter (install_filter) and gives the other end of it to the supervisor. From now on this
  // process's calls are supervised. Where they are already (`umdev run` in `umdev run`), the first supervisor
  // stays the only one.
  Result<> take_charge();

 private:
  explicit Supervisor(os::UniqueFd channel) : channel_(std::move(channel)) {}

  os::UniqueFd channel_;
};

}  // namespace umdev::run
