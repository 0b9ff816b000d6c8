#include "umdev/os/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "umdev/os/system_error.h"

namespace umdev::os {
namespace {

// Makes one directory, whose parent is there.
Result<> make_one(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    // Past the umask. Nobody had a way in before: mkdir() gave no more than `mode`.
    if (::chmod(path.c_str(), mode) != 0) return fail_errno("cannot set the permissions of the directory");
    return {};
  }
  const int code = errno;
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fail(code, "cannot make the directory");
  if (!S_ISDIR(status.st_mode)) return fail(ENOTDIR, "a part of the path is no directory");
  return {};
}

}  // namespace

Result<> make_directories(const std::string& path, mode_t mode) {
  if (path.empty()) return fail(EINVAL, "an empty path");
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    UMDEV_TRY(make_one(path.substr(0, slash), mode));
  return make_one(path, mode);
}

Result<> let_others_pass(const std::string& path) {
  constexpr mode_t pass = 0011;
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fail_errno("cannot look at the directory");
  if ((status.st_mode & pass) == pass) return {};
  if (::chmod(path.c_str(), (status.st_mode & 07777) | pass) != 0)
    return fail_errno("cannot let others pass the directory");
  return {};
}

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot open the directory");
  return fd;
}

Result<LockFile> LockFile::acquire(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno("cannot open the lock file");
  if (retry_interrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return fail(EBUSY, "another process holds the lock");
    return fail_errno("cannot lock");
  }
  // For people only, so a full disk is no reason to refuse.
  const std::string owner = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) == 0) {
    [[maybe_unused]] const auto written = ::pwrite(fd.get(), owner.data(), owner.size(), 0);
  }
  return LockFile(std::move(fd));
}

}  // namespace umdev::os
