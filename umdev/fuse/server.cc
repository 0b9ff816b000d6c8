#include "umdev/fuse/server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <limits>
#include <string>

namespace umdev::fuse {
namespace {

// Names are looked up anew each time: what is removed is gone for everybody when the removal returns. (Making
// the kernel forget a name instead would take the directory's lock, which any reader of it can hold.)
constexpr double entry_timeout = 0;

// In seconds. Each lookup brings them afresh, so this saves the question that follows it.
double attribute_timeout(const Attributes& attributes) {
  constexpr double hour = 3600;
  return attributes.lasting ? hour : 0;
}

ServerState& state_of(fuse_req_t request) {
  return *static_cast<ServerState*>(fuse_req_userdata(request));
}

Caller caller_of(fuse_req_t request) {
  const fuse_ctx& context = *fuse_req_ctx(request);
  return {.uid = context.uid, .gid = context.gid, .pid = context.pid};
}

struct stat stat_of(const Attributes& attributes) {
  struct stat stat = {};
  stat.st_ino = attributes.inode;
  stat.st_mode = attributes.mode;
  stat.st_nlink = attributes.links;
  stat.st_uid = attributes.uid;
  stat.st_gid = attributes.gid;
  stat.st_size = static_cast<off_t>(attributes.size);
  stat.st_blksize = 4096;
  stat.st_atim.tv_sec = stat.st_mtim.tv_sec = stat.st_ctim.tv_sec = attributes.time;
  return stat;
}

void reply_error(fuse_req_t request, const Error& error) {
  fuse_reply_err(request, error.code);
}

void reply_attributes(fuse_req_t request, const Result<Attributes>& attributes) {
  if (!attributes) return reply_error(request, attributes.error());
  const struct stat stat = stat_of(*attributes);
  fuse_reply_attr(request, &stat, attribute_timeout(*attributes));
}

void on_init(void*, fuse_conn_info* connection) {
  // A listing with attributes saves nothing where names are looked up anew; splicing needs larger data.
  connection->want &=
      ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
                             FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
  // Closes are the only requests that nobody waits for. The kernel holds them back beyond this number, and
  // what is asked later overtakes those: an open then finds open what a program that has ended had. (A user's
  // mount is given less of it, as much as /sys/module/fuse/parameters/max_user_bgreq says.)
  connection->max_background = std::numeric_limits<std::uint16_t>::max();
  // A link leads to the same place for as long as it is the same link.
  connection->want |= connection->capable & static_cast<unsigned>(FUSE_CAP_CACHE_SYMLINKS);
}

void on_lookup(fuse_req_t request, fuse_ino_t directory, const char* name) {
  FileSystem& file_system = state_of(request).file_system;
  const Result<Found> found = file_system.lookup(directory, name);
  if (!found) return reply_error(request, found.error());
  fuse_entry_param entry = {};
  entry.ino = found->id;
  entry.attr = stat_of(found->attributes);
  entry.attr_timeout = attribute_timeout(found->attributes);
  entry.entry_timeout = entry_timeout;
  // Whoever asked is gone: the reference was never given.
  if (fuse_reply_entry(request, &entry) == -ENOENT) file_system.forget(found->id, 1);
}

void on_forget(fuse_req_t request, fuse_ino_t id, std::uint64_t references) {
  state_of(request).file_system.forget(id, references);
  fuse_reply_none(request);
}

void on_forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgotten) {
  for (size_t index = 0; index < count; ++index)
    state_of(request).file_system.forget(forgotten[index].ino, forgotten[index].nlookup);
  fuse_reply_none(request);
}

void on_getattr(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
  reply_attributes(request, state_of(request).file_system.attributes(id));
}

void on_setattr(fuse_req_t request, fuse_ino_t id, struct stat* wanted, int what, fuse_file_info*) {
  Change change;
  if ((what & FUSE_SET_ATTR_MODE) != 0) change.permissions = wanted->st_mode & 07777U;
  if ((what & FUSE_SET_ATTR_UID) != 0) change.uid = wanted->st_uid;
  if ((what & FUSE_SET_ATTR_GID) != 0) change.gid = wanted->st_gid;
  reply_attributes(request, state_of(request).file_system.change(id, change));
}

void on_readlink(fuse_req_t request, fuse_ino_t id) {
  const Result<std::string> text = state_of(request).file_system.read_link(id);
  if (!text) return reply_error(request, text.error());
  fuse_reply_readlink(request, text->c_str());
}

void on_open(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  ServerState& state = state_of(request);
  const int access = info->flags & O_ACCMODE;
  auto file = state.file_system.open(caller_of(request), id, access != O_WRONLY, access != O_RDONLY);
  if (!file) return reply_error(request, file.error());
  const bool is_stream = (*file)->is_stream();
  info->fh = state.files.add(std::move(*file));
  // Each read and each write comes here as it was made.
  info->direct_io = 1;
  info->nonseekable = is_stream ? 1 : 0;
  if (fuse_reply_open(request, info) == -ENOENT) state.files.close(info->fh);
}

void on_read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  ServerState& state = state_of(request);
  const auto file = state.files.find(info->fh);
  if (!file) return reply_error(request, Error{EBADF, "no such file is open"});
  const Caller caller = caller_of(request);
  file->read(caller, static_cast<std::uint64_t>(offset), size, state.pending->expect_read(request));
}

void on_write(fuse_req_t request, fuse_ino_t, const char* data, size_t size, off_t offset,
              fuse_file_info* info) {
  ServerState& state = state_of(request);
  const auto file = state.files.find(info->fh);
  if (!file) return reply_error(request, Error{EBADF, "no such file is open"});
  const Caller caller = caller_of(request);
  file->write(caller, static_cast<std::uint64_t>(offset), std::as_bytes(std::span(data, size)),
              state.pending->expect_write(request));
}

void on_ioctl(fuse_req_t request, fuse_ino_t, unsigned command, void* argument, fuse_file_info* info,
              unsigned, const void*, size_t, size_t) {
  ServerState& state = state_of(request);
  const auto file = state.files.find(info->fh);
  if (!file) return reply_error(request, Error{EBADF, "no such file is open"});
  const Caller caller = caller_of(request);
  file->ioctl(caller, command, reinterpret_cast<std::uint64_t>(argument),
              state.pending->expect_ioctl(request));
}

void on_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  state_of(request).files.close(info->fh);
  fuse_reply_err(request, 0);
}

void on_opendir(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  ServerState& state = state_of(request);
  auto directory = state.file_system.open_directory(id);
  if (!directory) return reply_error(request, directory.error());
  info->fh = state.directories.add(std::move(*directory));
  if (fuse_reply_open(request, info) == -ENOENT) state.directories.close(info->fh);
}

// The buffer that one readdir is answered with.
class Listing final : public DirectorySink {
 public:
  Listing(fuse_req_t request, std::size_t size) : request_(request), buffer_(size, '\0') {}
  bool add(const std::string& name, std::uint64_t inode, std::uint32_t mode, std::uint64_t next) override {
    struct stat stat = {};
    stat.st_ino = inode;
    stat.st_mode = mode;
    const std::size_t room = buffer_.size() - used_;
    const std::size_t needed = fuse_add_direntry(request_, buffer_.data() + used_, room, name.c_str(), &stat,
                                                 static_cast<off_t>(next));
    if (needed > room) return false;
    used_ += needed;
    return true;
  }
  void reply() { fuse_reply_buf(request_, buffer_.data(), used_); }

 private:
  fuse_req* const request_;
  std::string buffer_;
  std::size_t used_ = 0;
};

void on_readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  const auto directory = state_of(request).directories.find(info->fh);
  if (!directory) return reply_error(request, Error{EBADF, "no such directory is open"});
  Listing listing(request, size);
  const Result<> listed = directory->list(static_cast<std::uint64_t>(offset), listing);
  if (!listed) return reply_error(request, listed.error());
  listing.reply();
}

void on_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  state_of(request).directories.close(info->fh);
  fuse_reply_err(request, 0);
}

void on_create(fuse_req_t request, fuse_ino_t directory, const char*, mode_t, fuse_file_info*) {
  reply_error(request, state_of(request).file_system.refuse_creation(directory));
}

// What a client can neither make nor take away nor move.
void on_mknod(fuse_req_t request, fuse_ino_t, const char*, mode_t, dev_t) {
  fuse_reply_err(request, EPERM);
}
void on_mkdir(fuse_req_t request, fuse_ino_t, const char*, mode_t) {
  fuse_reply_err(request, EPERM);
}
void on_unlink(fuse_req_t request, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}
void on_symlink(fuse_req_t request, const char*, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}
void on_rename(fuse_req_t request, fuse_ino_t, const char*, fuse_ino_t, const char*, unsigned) {
  fuse_reply_err(request, EPERM);
}
void on_link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}

}  // namespace

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops operations = {};
  operations.init = on_init;
  operations.lookup = on_lookup;
  operations.forget = on_forget;
  operations.forget_multi = on_forget_multi;
  operations.getattr = on_getattr;
  operations.setattr = on_setattr;
  operations.readlink = on_readlink;
  operations.open = on_open;
  operations.read = on_read;
  operations.write = on_write;
  operations.ioctl = on_ioctl;
  operations.release = on_release;
  operations.opendir = on_opendir;
  operations.readdir = on_readdir;
  operations.releasedir = on_releasedir;
  operations.create = on_create;
  operations.mknod = on_mknod;
  operations.mkdir = on_mkdir;
  operations.unlink = on_unlink;
  operations.rmdir = on_unlink;
  operations.symlink = on_symlink;
  operations.rename = on_rename;
  operations.link = on_link;
  return operations;
}

}  // namespace umdev::fuse
