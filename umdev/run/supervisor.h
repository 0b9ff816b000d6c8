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

  // Gives it what install_filter() returned in this process, whose calls are supervised from now on. After an
  // error the calls that the filter stops are ENOSYS for ever: end the process then.
  Result<> take_charge(const os::UniqueFd& listener);

 private:
  explicit Supervisor(os::UniqueFd channel) : channel_(std::move(channel)) {}

  os::UniqueFd channel_;
};

}  // namespace umdev::run
