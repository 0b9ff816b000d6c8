#include "umdev/os/durable_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>

#include "umdev/os/system_error.h"

namespace umdev::os {
namespace {

// One name in the scratch directory for each change of this process; its owner holds a lock on the directory.
std::string scratch_name() {
  static std::atomic<std::uint64_t> last = 0;
  return std::to_string(::getpid()) + "-" + std::to_string(last.fetch_add(1));
}

Result<> write_all(FileCalls& calls, int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = retry_interrupted([&] { return calls.write(fd, text.data(), text.size()); });
    if (count < 0) return fail_errno("cannot write the file");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<> sync(FileCalls& calls, int fd, std::string_view what) {
  if (retry_interrupted([&] { return calls.fsync(fd); }) != 0) return fail_errno(what);
  return {};
}

Result<> write_scratch(FileCalls& calls, int scratch, const std::string& name, std::string_view text,
                       mode_t mode) {
  const UniqueFd fd(
      ::openat(scratch, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno("cannot make the file");
  if (::fchmod(fd.get(), mode) != 0) return fail_errno("cannot set the permissions of the file");
  UMDEV_TRY(write_all(calls, fd.get(), text));
  return sync(calls, fd.get(), "cannot make the file durable");
}

}  // namespace

ssize_t FileCalls::write(int fd, const void* bytes, std::size_t size) {
  return ::write(fd, bytes, size);
}
int FileCalls::fsync(int fd) {
  return ::fsync(fd);
}
int FileCalls::rename(int from_directory, const char* from, int to_directory, const char* to) {
  return ::renameat(from_directory, from, to_directory, to);
}
int FileCalls::unlink(int directory, const char* name) {
  return ::unlinkat(directory, name, 0);
}

FileCalls& system_file_calls() {
  static FileCalls calls;
  return calls;
}

Result<UniqueFd> open_for_sync(int parent, const std::string& name) {
  UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail_errno("cannot open the directory");
  return fd;
}

Result<UniqueFd> open_for_sync(const std::string& path) {
  return open_for_sync(AT_FDCWD, path);
}

Result<> make_directory(FileCalls& calls, int parent, const std::string& name, mode_t mode) {
  if (::mkdirat(parent, name.c_str(), mode) != 0) {
    if (errno != EEXIST) return fail_errno("cannot make the directory");
    struct stat status{};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("cannot look at the directory");
    if (!S_ISDIR(status.st_mode)) return fail(ENOTDIR, "what is in the directory's place is none");
    return {};
  }
  if (::fchmodat(parent, name.c_str(), mode, 0) != 0)
    return fail_errno("cannot set the permissions of the directory");
  return sync(calls, parent, "cannot make the directory durable");
}

Result<> replace_file(FileCalls& calls, int scratch, int directory, const std::string& name,
                      std::string_view text, mode_t mode) {
  const std::string temporary = scratch_name();
  Result<> written = write_scratch(calls, scratch, temporary, text, mode);
  if (written && calls.rename(scratch, temporary.c_str(), directory, name.c_str()) != 0)
    written = fail_errno("cannot put the file in its place");
  if (!written) {
    ::unlinkat(scratch, temporary.c_str(), 0);
    return written;
  }
  return sync(calls, directory, "cannot make the change of the directory durable");
}

Result<> remove_file(FileCalls& calls, int directory, const std::string& name) {
  if (calls.unlink(directory, name.c_str()) != 0) return fail_errno("cannot remove the file");
  return sync(calls, directory, "cannot make the removal durable");
}

Result<std::string> read_file(int directory, const std::string& name, std::size_t most) {
  const UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return fail_errno("cannot open the file");
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("cannot look at the file");
  if (!S_ISREG(status.st_mode)) return fail(EINVAL, "it is no regular file");
  std::string text(most + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count =
        retry_interrupted([&] { return ::read(fd.get(), text.data() + size, text.size() - size); });
    if (count < 0) return fail_errno("cannot read the file");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > most) return fail(EFBIG, "the file is too large");
  text.resize(size);
  return text;
}

Result<std::vector<std::string>> list_directory(int directory) {
  // A descriptor of its own, since a listing has a position.
  UniqueFd fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot open the directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd.get()), ::closedir);
  if (!listing) return fail_errno("cannot read the directory");
  [[maybe_unused]] const int owned_by_listing = fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return fail_errno("cannot read the directory");
  std::sort(names.begin(), names.end());
  return names;
}

Result<> clear_directory(int directory) {
  for (const std::string& name : UMDEV_TRY(list_directory(directory)))
    if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != EISDIR && errno != ENOENT)
      return fail_errno("cannot remove a file that a crash has left");
  return {};
}

}  // namespace umdev::os
