// Where UNIX sockets live in the file system.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"

namespace umdev::os {
namespace {

// How a path is reached: as it is, or from its directory, where it is too long for an address.
struct Place {
  UniqueFd held;  // the directory
  std::string name;
  sockaddr_un address{};

  int directory() const { return held ? held.get() : AT_FDCWD; }
};

Result<Place> find_place(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  Place place{.held = {}, .name = slash == std::string::npos ? path : path.substr(slash + 1), .address = {}};
  if (place.name.empty() || place.name == "." || place.name == "..")
    return fail(EINVAL, "the path names no file");
  if (path.find('\0') != std::string::npos) return fail(EINVAL, "a zero byte in the path");
  sockaddr_un& address = place.address;
  address.sun_family = AF_UNIX;
  if (path.size() < sizeof address.sun_path) {
    std::memcpy(address.sun_path, path.data(), path.size());
    place.name = path;
    return place;
  }
  // The directory is held by a descriptor as long as it takes to reach the socket.
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  place.held = UniqueFd(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place.held) return fail_errno("cannot open the directory of the socket");
  const int length = std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
                                   place.held.get(), place.name.c_str());
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof address.sun_path)
    return fail(ENAMETOOLONG, "the last part of the path is too long for a socket");
  return place;
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
Result<> remove_stale(const Place& place) {
  struct stat status{};
  if (::fstatat(place.directory(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Result<>{} : fail_errno("cannot look at what is in the socket's place");
  if (!S_ISSOCK(status.st_mode)) return fail(EADDRINUSE, "the path is in use, and not by a socket");
  const UniqueFd probe = UMDEV_TRY(make_socket(SOCK_NONBLOCK));
  // Only a refusal proves that nobody listens: a full queue (EAGAIN) or a missing permission does not.
  if (::connect(probe.get(), as_sockaddr(place.address), sizeof place.address) == 0 || errno != ECONNREFUSED)
    return fail(EADDRINUSE, "somebody listens at this path");
  if (::unlinkat(place.directory(), place.name.c_str(), 0) != 0 && errno != ENOENT)
    return fail_errno("cannot remove the stale socket");
  return {};
}

Result<> set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno("cannot make the socket non-blocking");
  return {};
}

}  // namespace

Result<UnixListener> listen_at(const std::string& path, const SocketFile& file, int backlog) {
  const Place place = UMDEV_TRY(find_place(path));
  UnixListener listener;
  listener.fd_ = UMDEV_TRY(make_socket(SOCK_NONBLOCK));
  // The file that bind() makes has the permissions of the socket itself, less the umask: none before it is
  // its owner's, so that nobody comes in who may not.
  const bool given_away = file.owner || file.group;
  if (::fchmod(listener.fd_.get(), given_away ? 0 : file.mode) != 0)
    return fail_errno("cannot restrict the socket");
  const auto bind_it = [&] {
    return ::bind(listener.fd_.get(), as_sockaddr(place.address), sizeof place.address);
  };
  int bound = bind_it();
  if (bound != 0 && errno == EADDRINUSE) {
    UMDEV_TRY(remove_stale(place));
    bound = bind_it();
  }
  if (bound != 0) return fail_errno("cannot bind the socket");
  listener.path_ = path;
  struct stat status{};
  if (::fstatat(place.directory(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("the new socket is not there");
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  if (::listen(listener.fd_.get(), backlog) != 0) return fail_errno("listen failed");
  constexpr std::uint32_t unchanged = UINT32_MAX;
  if (given_away && ::fchownat(place.directory(), place.name.c_str(), file.owner.value_or(unchanged),
                               file.group.value_or(unchanged), AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("cannot give the socket to its owner and group");
  constexpr mode_t permissions = 07777;
  if ((status.st_mode & permissions) != file.mode &&
      ::fchmodat(place.directory(), place.name.c_str(), file.mode, 0) != 0)
    return fail_errno("cannot set the permissions of the socket");
  return listener;
}

Result<HandedSocket> inspect_socket(int socket) {
  const auto option = [socket](int name) -> Result<int> {
    int value = 0;
    socklen_t size = sizeof value;
    if (::getsockopt(socket, SOL_SOCKET, name, &value, &size) != 0)
      return fail(EINVAL, "the descriptor that was handed over is no socket");
    return value;
  };
  if (UMDEV_TRY(option(SO_DOMAIN)) != AF_UNIX || UMDEV_TRY(option(SO_TYPE)) != SOCK_STREAM)
    return fail(EINVAL, "the socket that was handed over is no UNIX stream socket");
  HandedSocket handed{.is_listening = UMDEV_TRY(option(SO_ACCEPTCONN)) != 0, .path = {}};
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (!handed.is_listening && ::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail(EINVAL, "the socket that was handed over neither listens nor is connected");
  size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
      size > offsetof(sockaddr_un, sun_path) && address.sun_path[0] != '\0')
    handed.path.assign(address.sun_path, ::strnlen(address.sun_path, size - offsetof(sockaddr_un, sun_path)));
  return handed;
}

Result<UnixListener> adopt_listener(UniqueFd socket) {
  if (!UMDEV_TRY(inspect_socket(socket.get())).is_listening)
    return fail(EINVAL, "the socket that was handed over does not listen");
  UMDEV_TRY(set_nonblocking(socket.get()));
  UnixListener listener;
  listener.fd_ = std::move(socket);
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
  if (fd_ && !path_.empty()) {
    struct stat status{};
    const bool ours =
        ::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
    if (ours) ::unlink(path_.c_str());
  }
  fd_.reset();
}

Result<UniqueFd> connect_to(const std::string& path) {
  const Place place = UMDEV_TRY(find_place(path));
  UniqueFd fd = UMDEV_TRY(make_socket(0));
  const auto* const address = as_sockaddr(place.address);
  if (retry_interrupted([&] { return ::connect(fd.get(), address, sizeof place.address); }) != 0)
    return fail_errno("cannot connect");
  return fd;
}

}  // namespace umdev::os
