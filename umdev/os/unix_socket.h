// UNIX stream sockets that carry descriptors. All descriptors are close-on-exec; nothing here waits, except
// where it says so.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <optional>
#include <span>
#include <string>

#include "umdev/os/fd_batch.h"
#include "umdev/support/bytes.h"

namespace umdev::os {

// Receives what is there, up to into.size() bytes, and appends the descriptors that came with it to `fds`.
// Returns the number of bytes; 0 is the end of the stream (and `into` must not be empty: EINVAL). EAGAIN when
// nothing is there; ECONNRESET when the peer died with our bytes unread. Descriptors belong to the first of
// the bytes they come with, and one call never returns those of two messages. When some could not be received
// or do not fit, all that came with this call are closed and fds.lost() is set, but the bytes are good.
Result<std::size_t> receive(int socket, Bytes into, FdBatch& fds);

// Sends what fits now; returns the number of bytes, which may be fewer than given. The descriptors go with
// the first byte, so once anything was sent they are not to be sent again. EAGAIN when nothing fits; EPIPE
// when the peer is gone (no signal is raised); EINVAL for no bytes or more than 253 descriptors; EMSGSIZE for
// more than 1024 pieces.
Result<std::size_t> send(int socket, std::span<const iovec> pieces, std::span<const int> fds = {});
Result<std::size_t> send(int socket, ConstBytes bytes, std::span<const int> fds = {});

// A piece for send().
iovec to_iovec(ConstBytes bytes);

// Who may connect to a socket: whoever may write its file.
struct SocketFile {
  mode_t mode = 0600;
  std::optional<uid_t> owner;  // the process's own, when left out
  std::optional<gid_t> group;
};

// A socket that listens at a path; removes the path at the end, unless another has taken it over or the
// directory was renamed meanwhile. One descriptor each.
class UnixListener {
 public:
  UnixListener() = default;
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener() { close(); }

  // Readable (for an EventLoop) when somebody connects.
  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  // The next connection, non-blocking. EAGAIN when nobody waits. EMFILE and ENFILE leave the connection
  // waiting, so that the listener stays readable: stop watching it until descriptors are free.
  Result<UniqueFd> accept() const;

  // Stops listening and removes the path.
  void close();

 private:
  friend Result<UnixListener> listen_at(const std::string& path, const SocketFile& file, int backlog);
  friend Result<UnixListener> adopt_listener(UniqueFd socket);

  UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Listens at `path`, whose file is exactly as wanted from the moment in which anybody can connect, whatever
// the umask. EPERM for an owner or a group that this process cannot give a file to. A path longer than a
// socket address holds (107 bytes) is reached through a descriptor of its directory; its last component may
// have up to 80 bytes (ENAMETOOLONG). A socket whose listener is dead is taken over. EADDRINUSE when a living
// one listens there, or when the path is anything but a socket; ENOENT when the directory is missing. Two
// processes that take over one path at the same moment are not told apart: hold the LockFile of the
// directory.
Result<UnixListener> listen_at(const std::string& path, const SocketFile& file, int backlog = 128);
inline Result<UnixListener> listen_at(const std::string& path, mode_t mode, int backlog = 128) {
  return listen_at(path, SocketFile{.mode = mode, .owner = {}, .group = {}}, backlog);
}

// What a socket that was handed over is: its state, and where it is bound (empty: nowhere, or not in the file
// system). EINVAL: not a UNIX stream socket, or neither listening nor connected.
struct HandedSocket {
  bool is_listening = false;
  std::string path;
};
Result<HandedSocket> inspect_socket(int socket);

// Accepts on a socket that somebody else has bound and lets listen (a service manager), who keeps the path:
// it is not removed at the end. inspect_socket()'s errors; EINVAL when it does not listen.
Result<UnixListener> adopt_listener(UniqueFd socket);

// Connects to a listener, by a path of any length as above. Waits while the listener's queue is full; the
// socket is blocking for others, but receive() and send() above never wait. ENOENT, ECONNREFUSED, EACCES.
Result<UniqueFd> connect_to(const std::string& path);

// Two sockets that are connected with each other.
Result<std::array<UniqueFd, 2>> make_socket_pair();

// Who connected (or listened), as the kernel saw it then.
struct PeerCredentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};
Result<PeerCredentials> peer_credentials(int socket);

}  // namespace umdev::os
