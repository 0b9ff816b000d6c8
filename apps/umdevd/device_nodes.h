// The nodes of VFIO, mounted: RUNTIME/dev.
#pragma once

#include <memory>
#include <string>

#include "umdev/fuse/mount.h"
#include "umdev/support/log.h"
#include "umdev/tree/tree.h"
#include "umdev/uapi/file_system.h"
#include "umdev/vfio/core.h"

namespace umdev::daemon {

// A mount of its own: what waits in the tree's never delays a program's call. Any one thread.
class DeviceNodes {
 public:
  // Makes the directory when it is missing. Errors as those of fuse::Mount::create. The core, the tree and
  // the log outlive it.
  static Result<std::unique_ptr<DeviceNodes>> create(tree::Tree& tree, vfio::Core& core,
                                                     const std::string& path, Log& log);

  const std::string& path() const { return path_; }

  // Takes it away from its path; files that are open go on.
  void detach() { mount_->detach(); }
  // The end of it, and of every file: programs get ENOTCONN from now on.
  void end() { mount_->end(); }

 private:
  DeviceNodes(std::string path, tree::Tree& tree, vfio::Core& core, Log& log);

  const std::string path_;
  uapi::CoreOpener opener_;
  uapi::FileSystem file_system_;
  std::unique_ptr<fuse::Mount> mount_;
};

}  // namespace umdev::daemon
