#include "apps/umdevd/tree_mount.h"

#include <unistd.h>

#include <chrono>

#include "umdev/fuse/left_behind.h"
#include "umdev/os/directory.h"

namespace umdev::daemon {
namespace {

constexpr const char* mount_name = "umdev-sys";
// As sysfs's; the permissions of what is above say who comes here at all.
constexpr mode_t directory_mode = 0755;
// So many shows and stores may hang in drivers before others wait for them.
constexpr os::ThreadPoolLimits call_limits{.kept = 1, .most = 512};

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<std::unique_ptr<TreeMount>> TreeMount::create(tree::Tree& tree, const std::string& path,
                                                     const Clock& clock, Log& log) {
  const fuse::MountOptions options{.path = path, .name = mount_name};
  UMDEV_TRY(fuse::detach_left_behind(options.path, options.name));
  UMDEV_TRY(os::make_directories(path, directory_mode));
  std::unique_ptr<TreeMount> mount(
      new TreeMount(path, UMDEV_TRY(os::ThreadPool::create("umdev-tree", call_limits))));
  mount->file_system_ = std::make_unique<sysfs::FileSystem>(tree, *mount->calls_, clock, now(),
                                                            sysfs::Owner{::geteuid(), ::getegid()});
  mount->mount_ = UMDEV_TRY(fuse::Mount::create(*mount->file_system_, options, log));
  return mount;
}

bool TreeMount::end(Duration limit) {
  mount_->end();
  return calls_->abandon_stuck(limit) == 0;
}

}  // namespace umdev::daemon
