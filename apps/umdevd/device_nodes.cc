#include "apps/umdevd/device_nodes.h"

#include <unistd.h>

#include <chrono>

#include "umdev/fuse/left_behind.h"
#include "umdev/os/directory.h"
#include "umdev/os/process.h"

namespace umdev::daemon {
namespace {

constexpr const char* mount_name = "umdev-dev";
constexpr mode_t directory_mode = 0755;

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

DeviceNodes::DeviceNodes(std::string path, tree::Tree& tree, vfio::Core& core, Log& log)
    : path_(std::move(path)),
      opener_(core),
      file_system_(tree, opener_, log, now(), {.uid = ::geteuid(), .gid = ::getegid()}) {}

Result<std::unique_ptr<DeviceNodes>> DeviceNodes::create(tree::Tree& tree, vfio::Core& core,
                                                         const std::string& path, Log& log) {
  const fuse::MountOptions options{.path = path, .name = mount_name, .readers = uapi::Limits{}.hanging_calls};
  UMDEV_TRY(fuse::detach_left_behind(options.path, options.name));
  UMDEV_TRY(os::make_directories(path, directory_mode));
  std::unique_ptr<DeviceNodes> nodes(new DeviceNodes(path, tree, core, log));
  nodes->mount_ = UMDEV_TRY(fuse::Mount::create(nodes->file_system_, options, log));
  nodes->file_system_.set_device(UMDEV_TRY(os::device_of(path)));
  return nodes;
}

}  // namespace umdev::daemon
