// What answers the kernel's requests. Only this folder's own files include this.
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>

#include "umdev/fuse/file_system.h"
#include "umdev/fuse/libfuse.h"
#include "umdev/fuse/pending.h"
#include "umdev/support/mutex.h"

namespace umdev::fuse {

// What is open, by the numbers that the kernel knows them by. Any thread.
template <typename Object>
class OpenTable {
 public:
  std::uint64_t add(std::shared_ptr<Object> object) {
    Lock lock(mutex_);
    objects_.emplace(++last_, std::move(object));
    return last_;
  }
  // Null when there is no such number.
  std::shared_ptr<Object> find(std::uint64_t number) const {
    Lock lock(mutex_);
    const auto found = objects_.find(number);
    return found == objects_.end() ? nullptr : found->second;
  }
  void close(std::uint64_t number) {
    std::shared_ptr<Object> unused;  // destroyed without the lock
    Lock lock(mutex_);
    const auto found = objects_.find(number);
    if (found == objects_.end()) return;
    unused = std::move(found->second);
    objects_.erase(found);
  }

 private:
  mutable Mutex mutex_;
  std::uint64_t last_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<Object>> objects_ UMDEV_GUARDED_BY(mutex_);
};

struct ServerState {
  explicit ServerState(FileSystem& its_file_system) : file_system(its_file_system) {}

  FileSystem& file_system;
  OpenTable<File> files;
  OpenTable<Directory> directories;
  const std::shared_ptr<PendingRequests> pending = std::make_shared<PendingRequests>();
};

// The table that libfuse calls, with a ServerState as the session's user data.
fuse_lowlevel_ops make_operations();

}  // namespace umdev::fuse
