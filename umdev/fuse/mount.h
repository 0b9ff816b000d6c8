// A mounted file system, as a value.
#pragma once

#include <memory>
#include <string>

#include "umdev/fuse/file_system.h"
#include "umdev/support/log.h"

namespace umdev::fuse {

struct MountOptions {
  std::string path;  // absolute; an empty directory
  // What /proc/mounts says the mount is of (fuse.<name>), by which a later process knows what an earlier one
  // left behind.
  std::string name;
  // How many threads may hang in requests before the others wait for them; with 1, every request waits for
  // the one before it.
  std::size_t readers = 1;
};

// Serves a file system at a path, on threads of its own (one at a time, as a rule). Needs /dev/fuse, and root
// or fusermount3.
//
// Everyone on the machine may use it, as far as the permissions of its files let them; where that is refused
// (a user whom /etc/fuse.conf does not allow it), only the user who mounted it.
class Mount {
 public:
  // Before it mounts it takes away what an earlier process of this name left at the path when it died (a
  // mount that says ENOTCONN). The file system and the log outlive the mount. ENOENT, EACCES, ENODEV:
  // /dev/fuse cannot be opened; EPERM: mounting was refused.
  static Result<std::unique_ptr<Mount>> create(FileSystem& file_system, const MountOptions& options,
                                               Log& log);

  // As end().
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  // Takes the mount away from the path, also when it is in use. Who has files of it open goes on using them.
  // Any one thread.
  void detach();

  // detach(), then serves no more: who waits for an answer, or asks from now on, gets ENODEV or the like.
  // What is completed later is heard by nobody. Not from the completions of this mount.
  void end();

  bool for_everyone() const;

 private:
  class Server;
  explicit Mount(std::unique_ptr<Server> server);
  const std::unique_ptr<Server> server_;
};

}  // namespace umdev::fuse
