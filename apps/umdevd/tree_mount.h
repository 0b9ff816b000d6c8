// The tree, mounted: RUNTIME/sys.
#pragma once

#include <memory>
#include <string>

#include "umdev/fuse/mount.h"
#include "umdev/os/thread_pool.h"
#include "umdev/support/log.h"
#include "umdev/sysfs/file_system.h"
#include "umdev/tree/tree.h"

namespace umdev::daemon {

// A mount, its file system, and the pool on which shows and stores run. Any one thread.
class TreeMount {
 public:
  // Makes the directory when it is missing. Errors as those of fuse::Mount::create.
  // The clock outlives it.
  static Result<std::unique_ptr<TreeMount>> create(tree::Tree& tree, const std::string& path,
                                                   const Clock& clock, Log& log);

  const std::string& path() const { return path_; }
  const sysfs::Statistics& statistics() const { return file_system_->statistics(); }
  bool for_everyone() const { return mount_->for_everyone(); }

  // Takes it away from its path; who waits for an answer still gets it.
  void detach() { mount_->detach(); }
  // The end of it. False when a show or store does not come back within `limit`: then the process has to end
  // without destroying what that may touch.
  [[nodiscard]] bool end(Duration limit);

 private:
  TreeMount(std::string path, std::unique_ptr<os::ThreadPool> calls)
      : path_(std::move(path)), calls_(std::move(calls)) {}

  const std::string path_;
  const std::unique_ptr<os::ThreadPool> calls_;
  std::unique_ptr<sysfs::FileSystem> file_system_;
  std::unique_ptr<fuse::Mount> mount_;
};

}  // namespace umdev::daemon
