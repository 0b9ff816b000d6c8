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

Result<> InstanceSockets::open(const mdev::Instance& instance) {
  const auto device = instance.vfio_device();
  if (!device) return fail(ENODEV, "the instance has no VFIO device");
  const auto tap = std::make_shared<vfio_user::Tap>();
  auto registration = UMDEV_TRY(
      server_.listen({.path = fmt::format("{}/{}{}", directory_, instance.name(), suffix),
                      .file = socket_file(config_, instance.mdev_parent().name(), instance.type().id()),
                      .device = {.iommu_group = device->group()->iommu_group().number(),
                                 .name = device->name(),
                                 .caller = {}},
                      .tap = tap}));
  Lock lock(mutex_);
  open_.insert_or_assign(instance.uuid(), Open{.registration = std::move(registration), .tap = tap});
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
  {
    Lock lock(mutex_);
    if (!open_.contains(uuid)) return {};
  }
  const std::string name = uuid.to_string() + std::string(suffix);
  return {.path = directory_ + "/" + name,
          .short_path = fmt::format("/proc/{}/fd/{}/{}", ::getpid(), handle_.get(), name)};
}

}  // namespace umdev::daemon
