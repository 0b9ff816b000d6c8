#include "umdev/manage/state_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "umdev/os/durable_file.h"
#include "umdev/os/system_error.h"

namespace umdev::manage {
namespace {

constexpr mode_t private_mode = 0700;
// mdevctl's own directories, as a package has them. Who may reach them is the directory's above to say.
constexpr mode_t shared_mode = 0755;

Result<> make_script_directories(const std::string& scripts) {
  UMDEV_TRY(os::make_directories(scripts + "/callouts", shared_mode));
  return os::make_directories(scripts + "/notifiers", shared_mode);
}

std::string target_of(const std::string& link) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  target.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return target;
}

}  // namespace

Result<std::unique_ptr<StateDirectory>> StateDirectory::claim(const std::string& path) {
  UMDEV_TRY(os::make_directories(path, private_mode));
  auto lock = UMDEV_TRY(os::LockFile::acquire(path + "/" + std::string(state_lock_name)));
  std::unique_ptr<StateDirectory> state(new StateDirectory(path, std::move(lock)));
  UMDEV_TRY(make_script_directories(state->definitions() + "/" + std::string(scripts_name)));
  UMDEV_TRY(os::make_directories(state->owners(), private_mode));
  UMDEV_TRY(os::make_directories(state->kept(), private_mode));
  UMDEV_TRY(os::make_directories(state->scratch(), private_mode));
  const auto scratch = UMDEV_TRY(os::open_for_sync(state->scratch()));
  UMDEV_TRY(os::clear_directory(scratch.get()));
  // The names of the directories above, before anything in them is called durable.
  const auto top = UMDEV_TRY(os::open_for_sync(path));
  if (::fsync(top.get()) != 0) return os::fail_errno("cannot make the state directory durable");
  return state;
}

Result<> make_mdevctl_root(const std::string& root, const std::string& definitions) {
  UMDEV_TRY(os::make_directories(root + "/etc", shared_mode));
  UMDEV_TRY(make_script_directories(root + "/usr/lib/mdevctl/" + std::string(scripts_name)));
  const std::string link = root + "/etc/" + std::string(definitions_name);
  struct stat status{};
  if (::lstat(link.c_str(), &status) == 0) {
    if (!S_ISLNK(status.st_mode)) return fail(EEXIST, "what is in the place of the link is none");
    if (target_of(link) == definitions) return {};
    if (::unlink(link.c_str()) != 0) return os::fail_errno("cannot remove the old link");
  }
  if (::symlink(definitions.c_str(), link.c_str()) != 0) return os::fail_errno("cannot make the link");
  return {};
}

}  // namespace umdev::manage
