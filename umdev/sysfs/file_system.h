// The tree as a file system, with the answers of the kernel's sysfs (kernfs): see docs/sysfs.md for the list.
#pragma once

#include "umdev/fuse/file_system.h"
#include "umdev/support/host.h"
#include "umdev/sysfs/node_table.h"
#include "umdev/sysfs/timed_file.h"
#include "umdev/tree/tree.h"

namespace umdev::sysfs {

// Whose the tree is: what nobody has given to somebody else. The kernel's is root's; that of a daemon without
// privilege is its user's, who could not write a thing otherwise.
struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// Translates, and decides nothing: modes, errors and lifetimes are the tree's. Shows and stores run on the
// executor, which has to grow while they hang; all else is answered at once.
class FileSystem final : public fuse::FileSystem {
 public:
  // `time` (seconds since 1970) is every node's. What it is lent outlives it, and every file of it.
  FileSystem(tree::Tree& tree, Executor& executor, const Clock& clock, std::int64_t time, Owner owner = {});

  const Statistics& statistics() const { return statistics_; }

  // ^fuse::FileSystem
  Result<fuse::Found> lookup(fuse::NodeId directory, const char* name) override;
  void forget(fuse::NodeId id, std::uint64_t references) override;
  Result<fuse::Attributes> attributes(fuse::NodeId id) override;
  Result<fuse::Attributes> change(fuse::NodeId id, const fuse::Change& change) override;
  Result<std::string> read_link(fuse::NodeId id) override;
  Result<std::shared_ptr<fuse::File>> open(const fuse::Caller& caller, fuse::NodeId id, bool for_reading,
                                           bool for_writing) override;
  Result<std::shared_ptr<fuse::Directory>> open_directory(fuse::NodeId id) override;
  Error refuse_creation(fuse::NodeId directory) override;

 private:
  fuse::Attributes attributes_of(const tree::NodeInfo& info) const;

  tree::Tree& tree_;
  Executor& executor_;
  const Clock& clock_;
  const std::int64_t time_;
  const Owner owner_;
  Statistics statistics_;
  NodeTable nodes_;
};

}  // namespace umdev::sysfs
