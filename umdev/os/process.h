// Another process, as one sees it who serves its system calls: its memory and its descriptors.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"

namespace umdev::os {

// What tells an open file's inode from all others.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend auto operator<=>(const FileIdentity&, const FileIdentity&) = default;
};

// Of a descriptor of ours. Never asks a server behind the file (FUSE, a network). EBADF.
Result<FileIdentity> identity_of(int fd);
// What /proc shows of a descriptor of ours; see Process::name_of_fd.
Result<std::string> name_of(int fd);
// The number of the file system that is mounted at a path, as stat shows it. ENOENT and the like.
Result<dev_t> device_of(const std::string& path);
// Of a descriptor of the thread that has that number at this moment. EBADF, ESRCH, EACCES.
Result<FileIdentity> identity_of_fd_of(pid_t thread, int fd);

// A line of /proc/PID/maps.
struct MemoryArea {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool shared = false;
  std::uint64_t offset = 0;  // of `begin` in the file
  FileIdentity file;         // all zeros: of no file
  bool operator==(const MemoryArea&) const = default;
};

// The areas that meet [begin, end), in their order, from the text of a maps file. A line that makes no sense
// ends them.
std::vector<MemoryArea> parse_areas(std::string_view maps, std::uint64_t begin, std::uint64_t end);

// A thread and the process it belongs to, for as long as it is the one of that number. Whatever is asked
// after its end, or in the moment of it, is ESRCH: the number may be another's by then. Needs the right to
// trace it (EPERM). Thread-safe.
class Process {
 public:
  // By the number of one of its threads. ESRCH.
  static Result<std::shared_ptr<Process>> open(pid_t thread);

  bool is_alive() const;
  pid_t thread() const { return thread_; }
  pid_t id() const { return id_; }
  // The effective user when it was opened.
  uid_t user() const { return user_; }

  // All or nothing is said, though a part may have been done: EFAULT.
  Result<> read(std::uint64_t address, Bytes into) const;
  Result<> write(std::uint64_t address, ConstBytes from) const;

  // A descriptor of its as one of ours, for the same open file. EBADF; EMFILE.
  Result<UniqueFd> take_fd(int fd) const;
  // identity_of() of one of its descriptors.
  Result<FileIdentity> identity_of_fd(int fd) const;
  // What /proc shows of it: a path, or "anon_inode:[eventfd]", "/memfd:name (deleted)". EBADF.
  Result<std::string> name_of_fd(int fd) const;

  // The memory that it has in [begin, end).
  Result<std::vector<MemoryArea>> areas(std::uint64_t begin, std::uint64_t end) const;
  // The file of such an area, opened anew. ENOENT when it cannot be had: it is private memory, or nobody has
  // it open and we lack the privilege for /proc/PID/map_files.
  Result<UniqueFd> open_file_of(const MemoryArea& area, bool writable) const;

  // Stands for the memory that it has now, for is_address_space_alive(). That it can be had for writing means
  // that one may do with the process what one likes.
  Result<UniqueFd> open_memory(bool for_writing = false) const;
  // Who owns its files in /proc: its effective user, or root where nobody but root may look into it (a
  // set-user-ID program).
  Result<uid_t> owner() const;

  // What it may do: a bit mask as in CapEff of /proc/PID/status, none for who lives in another user
  // namespace.
  std::uint64_t capabilities() const;

 private:
  Process(pid_t thread, pid_t id, uid_t user, UniqueFd handle)
      : thread_(thread), id_(id), user_(user), handle_(std::move(handle)) {}
  std::string path(std::string_view name) const;

  const pid_t thread_;
  const pid_t id_;
  const uid_t user_;
  const UniqueFd handle_;  // a pidfd
};

// False once the last process that had that memory has ended, or has become another program.
bool is_address_space_alive(int memory);

}  // namespace umdev::os
