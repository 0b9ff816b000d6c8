// Where UNIX sockets live in the file system.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"

namespace umdev::os {
namespace {

// A path in the two parts that it is reached by.
struct Place {
  UniqueFd directory;
  std::string name;
};

// The directory is held by a descriptor as long as it takes to reach the socket: an address may be too short
// for the path.
Result<Place> find_place(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") return fail(EINVAL, "the path names no file");
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  UniqueFd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno("cannot open the directory of the socket");
  return Place{std::move(directory), std::move(name)};
}

// The address of a socket: its path, where that fits, else the way through the open directory.
Result<sockaddr_un> make_address(const std::string& path, const Place& place) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.find('\0') != std::string::npos) return fail(EINVAL, "a zero byte in the path");
  if (path.size() < sizeof address.sun_path) {
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
  }
  const int length = std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
                                   place.directory.get(), place.name.c_str());
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof address.sun_path)
    return fail(ENAMETOOLONG, "the last part of the path is too long for a socket");
  return address;
}

const sockaddr* as_sockaddr(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<UniqueFd> make_socket(int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) return fail_errno("socket failed");
  return fd;
}

// Removes the socket of a listener that is no more. EADDRINUSE when what is there is not ours to remove.
Result<> remove_stale(const Place& place, const sockaddr_un& address) {
  struct stat status{};
  if (::fstatat(place.directory.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Result<>{} : fail_errno("cannot look at what is in the socket's place");
  if (!S_ISSOCK(status.st_mode)) return fail(EADDRINUSE, "the path is in use, and not by a socket");
  const UniqueFd probe = UMDEV_TRY(make_socket(SOCK_NONBLOCK));
  // Only a refusal proves that nobody listens: a full queue (EAGAIN) or a missing permission does not.
  if (::connect(probe.get(), as_sockaddr(address), sizeof address) == 0 || errno != ECONNREFUSED)
    return fail(EADDRINUSE, "somebody listens at this path");
  if (::unlinkat(place.directory.get(), place.name.c_str(), 0) != 0 && errno != ENOENT)
    return fail_errno("cannot remove the stale socket");
  return {};
}

}  // namespace

Result<UnixListener> listen_at(const std::string& path, const SocketFile& file, int backlog) {
  const Place place = UMDEV_TRY(find_place(path));
  const sockaddr_un address = UMDEV_TRY(make_address(path, place));
  UMDEV_TRY(remove_stale(place, address));
  UnixListener listener;
  listener.fd_ = UMDEV_TRY(make_socket(SOCK_NONBLOCK));
  // The file that bind() makes has the permissions of the socket itself, less the umask: none at first, so
  // that nobody comes in before the wanted ones are set.
  if (::fchmod(listener.fd_.get(), 0) != 0) return fail_errno("cannot restrict the socket");
  if (::bind(listener.fd_.get(), as_sockaddr(address), sizeof address) != 0)
    return fail_errno("cannot bind the socket");
  listener.path_ = path;
  struct stat status{};
  if (::fstatat(place.directory.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("the new socket is not there");
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  if (::listen(listener.fd_.get(), backlog) != 0) return fail_errno("listen failed");
  constexpr std::uint32_t unchanged = UINT32_MAX;
  if ((file.owner || file.group) &&
      ::fchownat(place.directory.get(), place.name.c_str(), file.owner.value_or(unchanged),
                 file.group.value_or(unchanged), AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("cannot give the socket to its owner and group");
  if (::fchmodat(place.directory.get(), place.name.c_str(), file.mode, 0) != 0)
    return fail_errno("cannot set the permissions of the socket");
  return listener;
}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::move(other.fd_);
  path_ = std::move(other.path_);
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

Result<UniqueFd> UnixListener::accept() const {
  UniqueFd peer(retry_interrupted(
      [&] { return ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }));
  if (!peer) return fail_errno("accept failed");
  return peer;
}

void UnixListener::close() {
  if (fd_) {
    struct stat status{};
    const bool ours =
        ::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
    if (ours) ::unlink(path_.c_str());
  }
  fd_.reset();
}

Result<UniqueFd> connect_to(const std::string& path) {
  const Place place = UMDEV_TRY(find_place(path));
  const sockaddr_un address = UMDEV_TRY(make_address(path, place));
  UniqueFd fd = UMDEV_TRY(make_socket(0));
  if (retry_interrupted([&] { return ::connect(fd.get(), as_sockaddr(address), sizeof address); }) != 0)
    return fail_errno("cannot connect");
  return fd;
}

}  // namespace umdev::os
