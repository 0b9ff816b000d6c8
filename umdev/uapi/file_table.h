// Which of the mount's inodes is which open file.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <unordered_map>

#include "umdev/fuse/file_system.h"
#include "umdev/ioctl/file.h"
#include "umdev/os/process.h"
#include "umdev/support/mutex.h"

namespace umdev::uapi {

// Each open has an inode of its own, so that a program's descriptor can be told by what stat says of it: the
// file system gives a node a new number each time its name is looked up, and opens each number once.
// Thread-safe; the lock is a leaf.
class FileTable {
 public:
  // The file system's number, once it is mounted.
  void set_device(dev_t device) { device_ = device; }

  // EBUSY: the inode has an open file.
  Result<> add(fuse::NodeId inode, const std::shared_ptr<ioctl::File>& file) UMDEV_EXCLUDES(mutex_);
  void remove(fuse::NodeId inode) UMDEV_EXCLUDES(mutex_);
  // Null for what is none of ours, or is being closed.
  std::shared_ptr<ioctl::File> find(const os::FileIdentity& identity) const UMDEV_EXCLUDES(mutex_);

  // What programs map as a device's memory: not theirs to lend where an IOMMU would refuse it.
  void add_device_memory(const os::FileIdentity& identity) UMDEV_EXCLUDES(mutex_);
  bool is_device_memory(const os::FileIdentity& identity) const UMDEV_EXCLUDES(mutex_);

 private:
  std::atomic<dev_t> device_ = 0;
  mutable Mutex mutex_;
  std::unordered_map<fuse::NodeId, std::weak_ptr<ioctl::File>> files_ UMDEV_GUARDED_BY(mutex_);
  std::set<os::FileIdentity> device_memory_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::uapi
