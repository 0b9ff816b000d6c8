#include "umdev/sysfs/node_table.h"

namespace umdev::sysfs {

bool is_writable_attribute(const tree::NodeInfo& info) {
  return info.type == tree::NodeType::attribute && (info.mode & 0222) != 0;
}

NodeTable::NodeTable(tree::NodeRef root) {
  Lock lock(mutex_);
  entries_.emplace(fuse::root_id, Entry{.node = std::move(root), .references = 1});
}

fuse::NodeId NodeTable::refer(const tree::NodeRef& node, const tree::NodeInfo& info) {
  const bool writable = is_writable_attribute(info);
  Lock lock(mutex_);
  const fuse::NodeId id = writable ? next_of_its_own_++ : info.inode;
  Entry& entry = entries_[id];
  entry.node = node;
  ++entry.references;
  return id;
}

void NodeTable::forget(fuse::NodeId id, std::uint64_t references) {
  tree::NodeRef unused;
  if (id == fuse::root_id) return;
  Lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (found->second.references > references) {
    found->second.references -= references;
    return;
  }
  unused = std::move(found->second.node);
  entries_.erase(found);
}

Result<tree::NodeRef> NodeTable::find(fuse::NodeId id) const {
  Lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return fail(ESTALE, "the node has been forgotten");
  return found->second.node;
}

std::size_t NodeTable::size() const {
  Lock lock(mutex_);
  return entries_.size();
}

}  // namespace umdev::sysfs
