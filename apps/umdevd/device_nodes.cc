#include "apps/umdevd/device_nodes.h"

#include <unistd.h>

#include <chrono>
#include <thread>

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

// With one, two threads copy no faster.
bool has_several_processors() {
  return std::thread::hardware_concurrency() > 1;
}

}  // namespace

DeviceNodes::DeviceNodes(std::string path, tree::Tree& tree, vfio::Core& core, Log& log, Executor& copiers,
                         std::unique_ptr<ProgramTracers> tracers)
    : path_(std::move(path)),
      opener_(core),
      tracers_(std::move(tracers)),
      file_system_(tree, opener_, log, now(), {.uid = ::geteuid(), .gid = ::getegid()}, {}, tracers_.get(),
                   has_several_processors() ? &copiers : nullptr) {}

Result<std::unique_ptr<DeviceNodes>> DeviceNodes::create(tree::Tree& tree, vfio::Core& core,
                                                         const std::string& path, Log& log, Executor& copiers,
                                                         std::vector<dev_t> other_mounts) {
  const fuse::MountOptions options{.path = path, .name = mount_name, .readers = uapi::Limits{}.hanging_calls};
  UMDEV_TRY(fuse::detach_left_behind(options.path, options.name));
  UMDEV_TRY(os::make_directories(path, directory_mode));
  auto tracers = UMDEV_TRY(ProgramTracers::create());
  std::unique_ptr<DeviceNodes> nodes(new DeviceNodes(path, tree, core, log, copiers, std::move(tracers)));
  nodes->mount_ = UMDEV_TRY(fuse::Mount::create(nodes->file_system_, options, log));
  const dev_t device = UMDEV_TRY(os::device_of(path));
  other_mounts.push_back(device);
  nodes->tracers_->set_own_mounts(std::move(other_mounts));
  nodes->file_system_.set_device(device);
  return nodes;
}

bool DeviceNodes::end(Duration limit) {
  mount_->end();
  return tracers_->end(limit);
}

}  // namespace umdev::daemon
