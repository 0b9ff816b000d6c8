// What a mount shows: the file system behind it, in our own words. Nobody who implements it sees libfuse.
//
// Threads. lookup() to open_directory(), and Directory::list(), are called on the mount's own thread, one
// after the other: they answer at once and never wait for anybody. File::read() and write() are called there
// too, but answer by a completion, inline or later, from any thread: what may take long goes elsewhere.
// Errors are what the caller's system call says. Permissions have been checked by the kernel against the
// attributes that are given here (default_permissions), root's exceptions included.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"

namespace umdev::fuse {

// What the kernel calls a node by, from its lookup until it is forgotten. Not what stat shows.
using NodeId = std::uint64_t;
inline constexpr NodeId root_id = 1;

// The process whose system call it is; the pid is 0 when it cannot be seen from here.
struct Caller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
};

// What stat shows.
struct Attributes {
  std::uint64_t inode = 0;
  std::uint32_t mode = 0;  // the type (S_IFDIR and so on) and the permissions
  std::uint32_t links = 1;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  std::int64_t time = 0;  // seconds since 1970: of access, of modification and of change
  bool lasting = false;   // nothing but change() of this very node will alter them: the kernel need not ask
};

struct Found {
  NodeId id = 0;
  Attributes attributes;
};

// What chmod and chown change. Sizes and times are taken, and kept by nobody.
struct Change {
  std::optional<std::uint32_t> permissions;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
};

// An open file. Destroyed when its last descriptor is closed, or the mount ends; not while a read or write
// of it has not been completed.
class File {
 public:
  virtual ~File() = default;

  // At most `size` bytes; fewer are the end of the file.
  virtual void read(const Caller& caller, std::uint64_t offset, std::size_t size, Done<std::string> done) = 0;
  // `from` is valid until this returns. A caller that is interrupted by a signal is told EINTR; the write
  // goes on, and its completion is then heard by nobody.
  virtual void write(const Caller& caller, std::uint64_t offset, ConstBytes from, Done<std::size_t> done) = 0;
  // Of a command whose number says no size (_IO), for which the kernel copies nothing: `argument` is a
  // number, or an address in the caller's memory. Answers as write() does.
  virtual void ioctl(const Caller&, std::uint32_t /*command*/, std::uint64_t /*argument*/,
                     Done<std::int32_t> done) {
    done(fail(ENOTTY, "the file has no commands"));
  }
  // True for a file without a position: lseek, pread and pwrite are ESPIPE.
  virtual bool is_stream() const { return false; }
};

class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  // False when it has no room for the entry: then the listing goes on there the next time. `next` is the
  // offset behind the entry; `mode` needs no more than the type.
  virtual bool add(const std::string& name, std::uint64_t inode, std::uint32_t mode, std::uint64_t next) = 0;
};

// An open directory.
class Directory {
 public:
  virtual ~Directory() = default;
  // Gives entries from `offset` on (0: from the beginning, and afresh) until there are no more, or no room.
  virtual Result<> list(std::uint64_t offset, DirectorySink& sink) = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Each success is a reference to the node, which forget() gives back.
  virtual Result<Found> lookup(NodeId directory, const char* name) = 0;
  virtual void forget(NodeId id, std::uint64_t references) = 0;
  virtual Result<Attributes> attributes(NodeId id) = 0;
  virtual Result<Attributes> change(NodeId id, const Change& change) = 0;
  virtual Result<std::string> read_link(NodeId id) = 0;
  virtual Result<std::shared_ptr<File>> open(const Caller& caller, NodeId id, bool for_reading,
                                             bool for_writing) = 0;
  virtual Result<std::shared_ptr<Directory>> open_directory(NodeId id) = 0;
  // Whether what an ioctl answers depends on which files are open (EBUSY): it is then answered after those
  // that were closed before it have been destroyed, as open() is.
  virtual bool depends_on_closes(std::uint32_t /*command*/) const { return false; }
  // Why no file can be made in it. (Directories, links and nodes, removal and renaming are all EPERM.)
  virtual Error refuse_creation(NodeId directory) = 0;
};

}  // namespace umdev::fuse
