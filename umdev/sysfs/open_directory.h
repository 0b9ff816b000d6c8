// An open directory: a listing in pieces.
#pragma once

#include <vector>

#include "umdev/fuse/file_system.h"
#include "umdev/support/mutex.h"
#include "umdev/tree/tree.h"

namespace umdev::sysfs {

// The file type bits (S_IFDIR and so on) of a node.
std::uint32_t type_bits(tree::NodeType type);

// Shows each entry once that is there the whole time; what comes or goes meanwhile may be missed. It takes
// the tree's lock for `piece` entries at a time. An offset counts entries, "." and ".." being the first two,
// and can be gone back to. Of a directory that has been removed only these two are left.
class OpenDirectory final : public fuse::Directory {
 public:
  OpenDirectory(tree::Tree& tree, tree::NodeRef node) : tree_(tree), node_(std::move(node)) {}
  Result<> list(std::uint64_t offset, fuse::DirectorySink& sink) override UMDEV_EXCLUDES(mutex_);

 private:
  static constexpr std::size_t piece = 256;

  // Whether there are entries beyond those that have been read.
  bool read_more() UMDEV_REQUIRES(mutex_);

  tree::Tree& tree_;
  const tree::NodeRef node_;
  Mutex mutex_;
  std::vector<tree::Entry> entries_ UMDEV_GUARDED_BY(mutex_);  // since the beginning
};

}  // namespace umdev::sysfs
