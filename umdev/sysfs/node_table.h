// The nodes that the kernel knows, by the numbers that it knows them by.
#pragma once

#include <unordered_map>

#include "umdev/fuse/file_system.h"
#include "umdev/support/mutex.h"
#include "umdev/tree/tree.h"

namespace umdev::sysfs {

bool is_writable_attribute(const tree::NodeInfo& info);

// A node's number is its inode, with one exception: an attribute that can be written gets a new number with
// each lookup. The kernel holds a lock of the file (per number) while it waits for a write, and takes the
// same lock to truncate, which every `echo >` does: under one number a removal that waits for a device's
// users, or a driver that hangs in one creation, would hold up every other process that opens that file. What
// stat says is the tree's inode all the same.
//
// Thread-safe; the lock is a leaf.
class NodeTable {
 public:
  // The root of the tree is there for ever.
  explicit NodeTable(tree::NodeRef root);

  // Takes a reference, which forget() gives back.
  fuse::NodeId refer(const tree::NodeRef& node, const tree::NodeInfo& info) UMDEV_EXCLUDES(mutex_);
  void forget(fuse::NodeId id, std::uint64_t references) UMDEV_EXCLUDES(mutex_);
  // ESTALE for a number that nobody has a reference to.
  Result<tree::NodeRef> find(fuse::NodeId id) const UMDEV_EXCLUDES(mutex_);
  std::size_t size() const UMDEV_EXCLUDES(mutex_);

 private:
  struct Entry {
    tree::NodeRef node;
    std::uint64_t references = 0;
  };
  static constexpr fuse::NodeId first_of_its_own = fuse::NodeId(1) << 63;

  mutable Mutex mutex_;
  std::unordered_map<fuse::NodeId, Entry> entries_ UMDEV_GUARDED_BY(mutex_);
  fuse::NodeId next_of_its_own_ UMDEV_GUARDED_BY(mutex_) = first_of_its_own;
};

}  // namespace umdev::sysfs
