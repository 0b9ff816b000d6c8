#include "apps/umdevd/instance_sockets.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "umdev/mdev/parent.h"
#include "umdev/os/directory.h"
#include "umdev/os/system_error.h"
#include "umdev/vfio/group.h"

namespace umdev::daemon {
namespace {

constexpr std::string_view suffix = ".sock";
constexpr mode_t directory_mode = 0700;

bool is_socket_name(std::string_view name) {
  return name.ends_with(suffix) && Uuid::parse(name.substr(0, name.size() - suffix.size()));
}

bool is_socket(int directory, const char* name) {
  struct stat status{};
  return ::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode);
}

Result<> remove_leftovers(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), ::closedir);
  if (!listing) return os::fail_errno("cannot read the directory of the instances' sockets");
  const int handle = ::dirfd(listing.get());
  while (const dirent* entry = ::readdir(listing.get()))
    if (is_socket_name(entry->d_name) && is_socket(handle, entry->d_name))
      ::unlinkat(handle, entry->d_name, 0);  // what stays is found when its path is needed
  return {};
}

}  // namespace

Result<std::unique_ptr<InstanceSockets>> InstanceSockets::create(vfio_user::Server& server,
                                                                 std::string directory,
                                                                 const Config& config) {
  UMDEV_TRY(os::make_directories(directory, directory_mode));
  if (opens_sockets(config)) UMDEV_TRY(os::let_others_pass(directory));
  UMDEV_TRY(remove_leftovers(directory));
  auto handle = UMDEV_TRY(os::open_directory(directory));
  return std::unique_ptr<InstanceSockets>(
      new InstanceSockets(server, std::move(directory), std::move(handle), config));
}

Result<> InstanceSockets::hand_over(const Uuid& uuid, os::UniqueFd socket) {
  auto what = UMDEV_TRY(os::inspect_socket(socket.get()));
  Lock lock(mutex_);
  const bool is_new =
      handed_.try_emplace(uuid, Handed{.socket = std::move(socket), .what = std::move(what)}).second;
  if (!is_new) return fail(EEXIST, "two sockets were handed over for one device");
  return {};
}

// An empty descriptor when there is none.
Result<InstanceSockets::Handed> InstanceSockets::take_handed(const Uuid& uuid) {
  Lock lock(mutex_);
  const auto found = handed_.find(uuid);
  if (found == handed_.end()) return Handed{};
  if (found->second.what.is_listening)
    return Handed{.socket = UMDEV_TRY(found->second.socket.dup()), .what = found->second.what};
  Handed handed = std::move(found->second);
  handed_.erase(found);
  return handed;
}

Result<> InstanceSockets::open(const mdev::Instance& instance) {
  const auto device = instance.vfio_device();
  if (!device) return fail(ENODEV, "the instance has no VFIO device");
  const std::string name = instance.uuid().to_string() + std::string(suffix);
  control::SocketPaths paths{.path = directory_ + "/" + name,
                             .short_path = fmt::format("/proc/{}/fd/{}/{}", ::getpid(), handle_.get(), name)};
  auto handed = UMDEV_TRY(take_handed(instance.uuid()));
  const auto tap = std::make_shared<vfio_user::Tap>();
  if (handed.socket) paths = {.path = handed.what.path, .short_path = {}};
  vfio_user::EndpointConfig config{
      .path = paths.path,
      .file = socket_file(config_, instance.mdev_parent().name(), instance.type().id()),
      .device = {.iommu_group = device->group()->iommu_group().number(),
                 .name = device->name(),
                 .caller = {}},
      .tap = tap};
  auto registration = handed.socket ? UMDEV_TRY(server_.serve(std::move(config), std::move(handed.socket)))
                                    : UMDEV_TRY(server_.listen(std::move(config)));
  Lock lock(mutex_);
  open_.insert_or_assign(
      instance.uuid(), Open{.registration = std::move(registration), .tap = tap, .paths = std::move(paths)});
  return {};
}

void InstanceSockets::close(const Uuid& uuid, RemovePolicy policy, Done<> done) {
  Registration registration;
  {
    Lock lock(mutex_);
    const auto found = open_.find(uuid);
    if (found != open_.end()) {
      registration = std::move(found->second.registration);
      open_.erase(found);
    }
  }
  if (!registration) return done();
  registration.unregister(policy, std::move(done));
}

std::shared_ptr<vfio_user::Tap> InstanceSockets::tap_of(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto found = open_.find(uuid);
  return found != open_.end() ? found->second.tap : nullptr;
}

control::SocketPaths InstanceSockets::paths_of(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto found = open_.find(uuid);
  return found != open_.end() ? found->second.paths : control::SocketPaths();
}

}  // namespace umdev::daemon
