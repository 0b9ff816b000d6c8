// The vfio-user sockets of the instances: RUNTIME/vfio-user/UUID.sock.
#pragma once

#include <map>
#include <string>

#include "apps/umdevd/config.h"
#include "umdev/control/doors.h"
#include "umdev/mdev/instance.h"
#include "umdev/os/unique_fd.h"
#include "umdev/os/unix_socket.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/vfio_user/server.h"

namespace umdev::daemon {

// Any thread. The server outlives it. No lock is held while the server or a Done is called.
class InstanceSockets {
 public:
  // Makes the directory, and removes the sockets that a dead daemon left in it: the caller holds the runtime
  // directory's lock. `directory` is absolute.
  // The configuration says whose the sockets are to be.
  static Result<std::unique_ptr<InstanceSockets>> create(vfio_user::Server& server, std::string directory,
                                                         const Config& config);

  // A socket that was handed over for an instance, there or to come: one that listens serves it as often as
  // it is made, one that is connected once. os::inspect_socket()'s errors; EEXIST: it has one already.
  Result<> hand_over(const Uuid& uuid, os::UniqueFd socket) UMDEV_EXCLUDES(mutex_);

  // Opens the socket of an instance that is bound. EEXIST: it has one; the server's errors.
  Result<> open(const mdev::Instance& instance) UMDEV_EXCLUDES(mutex_);
  // Ends it, and what becomes of its sessions is the policy's to say (vfio_user::Server::listen). Success
  // when there is none.
  void close(const Uuid& uuid, RemovePolicy policy, Done<> done) UMDEV_EXCLUDES(mutex_);

  // What passes on the socket of an instance; null while it has none.
  std::shared_ptr<vfio_user::Tap> tap_of(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);
  // Empty while the instance has none.
  control::SocketPaths paths_of(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);

 private:
  struct Open {
    Registration registration;
    std::shared_ptr<vfio_user::Tap> tap;
    control::SocketPaths paths;
  };
  struct Handed {
    os::UniqueFd socket;
    os::HandedSocket what;
  };
  Result<Handed> take_handed(const Uuid& uuid) UMDEV_EXCLUDES(mutex_);
  InstanceSockets(vfio_user::Server& server, std::string directory, os::UniqueFd handle, Config config)
      : server_(server),
        directory_(std::move(directory)),
        handle_(std::move(handle)),
        config_(std::move(config)) {}

  vfio_user::Server& server_;
  const std::string directory_;
  const os::UniqueFd handle_;  // of the directory, for short paths to it
  const Config config_;
  mutable Mutex mutex_;
  std::map<Uuid, Open> open_ UMDEV_GUARDED_BY(mutex_);
  std::map<Uuid, Handed> handed_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::daemon
