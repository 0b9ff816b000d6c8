#include "umdev/sysfs/file_system.h"

#include <sys/stat.h>

#include "umdev/sysfs/open_attribute.h"
#include "umdev/sysfs/open_directory.h"

namespace umdev::sysfs {

std::uint32_t type_bits(tree::NodeType type) {
  switch (type) {
    case tree::NodeType::directory:
      return S_IFDIR;
    case tree::NodeType::link:
      return S_IFLNK;
    default:
      return S_IFREG;
  }
}

FileSystem::FileSystem(tree::Tree& tree, Executor& executor, const Clock& clock, std::int64_t time,
                       Owner owner)
    : tree_(tree),
      executor_(executor),
      clock_(clock),
      time_(time),
      owner_(owner),
      nodes_(tree.root().node()) {}

namespace {

// Of a directory the daemon changes the number of links; a writable attribute has several numbers
// (node_table.h), and what is changed by one of them the others must show.
bool is_lasting(const tree::NodeInfo& info) {
  return info.type != tree::NodeType::directory && !is_writable_attribute(info);
}

}  // namespace

fuse::Attributes FileSystem::attributes_of(const tree::NodeInfo& info) const {
  return {.inode = info.inode,
          .mode = type_bits(info.type) | info.mode,
          .links = info.links,
          .uid = info.uid == 0 ? owner_.uid : info.uid,
          .gid = info.gid == 0 ? owner_.gid : info.gid,
          .size = info.size,
          .time = time_,
          .lasting = is_lasting(info)};
}

Result<fuse::Found> FileSystem::lookup(fuse::NodeId directory, const char* name) {
  const tree::NodeRef parent = UMDEV_TRY(nodes_.find(directory));
  const tree::NodeRef node = UMDEV_TRY(tree_.child(parent, name));
  const tree::NodeInfo info = tree_.info(node);
  return fuse::Found{.id = nodes_.refer(node, info), .attributes = attributes_of(info)};
}

void FileSystem::forget(fuse::NodeId id, std::uint64_t references) {
  nodes_.forget(id, references);
}

// What is gone has attributes as long as somebody has it open.
Result<fuse::Attributes> FileSystem::attributes(fuse::NodeId id) {
  return attributes_of(tree_.info(UMDEV_TRY(nodes_.find(id))));
}

Result<fuse::Attributes> FileSystem::change(fuse::NodeId id, const fuse::Change& change) {
  const tree::NodeRef node = UMDEV_TRY(nodes_.find(id));
  if (change.permissions)
    UMDEV_TRY(tree_.set_mode(node, static_cast<tree::Mode>(*change.permissions & 07777U)));
  if (change.uid || change.gid) UMDEV_TRY(tree_.set_owner(node, change.uid, change.gid));
  return attributes_of(tree_.info(node));
}

Result<std::string> FileSystem::read_link(fuse::NodeId id) {
  return tree_.read_link(UMDEV_TRY(nodes_.find(id)));
}

Result<std::shared_ptr<fuse::File>> FileSystem::open(const fuse::Caller&, fuse::NodeId id, bool for_reading,
                                                     bool for_writing) {
  const tree::NodeRef node = UMDEV_TRY(nodes_.find(id));
  UMDEV_TRY(tree_.check_open(node, for_reading, for_writing));
  return std::make_shared<TimedFile>(
      std::make_shared<OpenAttribute>(tree_, executor_, node, tree_.info(node).binary), statistics_, clock_);
}

Result<std::shared_ptr<fuse::Directory>> FileSystem::open_directory(fuse::NodeId id) {
  tree::NodeRef node = UMDEV_TRY(nodes_.find(id));
  return std::make_shared<OpenDirectory>(tree_, std::move(node));
}

Error FileSystem::refuse_creation(fuse::NodeId directory) {
  const auto node = nodes_.find(directory);
  if (!node || tree_.info(*node).removed) return {ENOENT, "the directory is gone"};
  return {EACCES, "files are made by the devices"};
}

}  // namespace umdev::sysfs
