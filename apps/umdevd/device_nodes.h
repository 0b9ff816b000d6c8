// The nodes of VFIO, mounted: RUNTIME/dev.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/umdevd/program_tracers.h"
#include "umdev/fuse/mount.h"
#include "umdev/support/host.h"
#include "umdev/support/log.h"
#include "umdev/tree/tree.h"
#include "umdev/uapi/file_system.h"
#include "umdev/vfio/core.h"

namespace umdev::daemon {

// A mount of its own: what waits in the tree's never delays a program's call. Any one thread.
class DeviceNodes {
 public:
  // Makes the directory when it is missing. Errors as those of fuse::Mount::create. The core, the tree, the
  // log and the executor, which helps with large copies, outlive it. `other_mounts` are those that this
  // process serves besides.
  static Result<std::unique_ptr<DeviceNodes>> create(tree::Tree& tree, vfio::Core& core,
                                                     const std::string& path, Log& log, Executor& copiers,
                                                     std::vector<dev_t> other_mounts = {});

  const std::string& path() const { return path_; }

  // Takes it away from its path; files that are open go on.
  void detach() { mount_->detach(); }
  // The end of it, and of every file: programs get ENOTCONN from now on. False when a device does not come
  // back to a program within `limit`: then the process has to end without destroying this.
  [[nodiscard]] bool end(Duration limit);

 private:
  DeviceNodes(std::string path, tree::Tree& tree, vfio::Core& core, Log& log, Executor& copiers,
              std::unique_ptr<ProgramTracers> tracers);

  const std::string path_;
  uapi::CoreOpener opener_;
  const std::unique_ptr<ProgramTracers> tracers_;
  uapi::FileSystem file_system_;
  std::unique_ptr<fuse::Mount> mount_;
};

}  // namespace umdev::daemon
