#include "umdev/uapi/file_table.h"

namespace umdev::uapi {
namespace {
constexpr std::size_t device_memories_max = 65536;
}

Result<> FileTable::add(fuse::NodeId inode, const std::shared_ptr<ioctl::File>& file) {
  Lock lock(mutex_);
  if (!files_.try_emplace(inode, file).second) return fail(EBUSY, "the inode is open already");
  return {};
}

void FileTable::remove(fuse::NodeId inode) {
  Lock lock(mutex_);
  files_.erase(inode);
}

std::shared_ptr<ioctl::File> FileTable::find(const os::FileIdentity& identity) const {
  if (identity.device != device_) return nullptr;
  Lock lock(mutex_);
  const auto found = files_.find(identity.inode);
  return found == files_.end() ? nullptr : found->second.lock();
}

void FileTable::add_device_memory(const os::FileIdentity& identity) {
  Lock lock(mutex_);
  // Of devices that are gone, as a rule: forgetting one costs a refusal that nobody depends on.
  if (device_memory_.size() >= device_memories_max) device_memory_.clear();
  device_memory_.insert(identity);
}

bool FileTable::is_device_memory(const os::FileIdentity& identity) const {
  Lock lock(mutex_);
  return device_memory_.contains(identity);
}

}  // namespace umdev::uapi
