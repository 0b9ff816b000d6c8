#include "umdev/sysfs/open_directory.h"

#include <iterator>

namespace umdev::sysfs {

namespace {
constexpr std::uint64_t dots = 2;
}

bool OpenDirectory::read_more() {
  auto more = tree_.list(node_, entries_.empty() ? std::string_view() : entries_.back().name, piece);
  if (!more || more->empty()) return false;
  entries_.insert(entries_.end(), std::make_move_iterator(more->begin()),
                  std::make_move_iterator(more->end()));
  return true;
}

Result<> OpenDirectory::list(std::uint64_t offset, fuse::DirectorySink& sink) {
  const tree::NodeInfo info = tree_.info(node_);
  Lock lock(mutex_);
  if (offset == 0) entries_.clear();
  const std::uint32_t directory = type_bits(tree::NodeType::directory);
  if (offset == 0) {
    if (!sink.add(".", info.inode, directory, 1)) return {};
    offset = 1;
  }
  // Nobody looks up the number of "..": the kernel walks there by itself.
  if (offset == 1) {
    if (!sink.add("..", info.inode, directory, dots)) return {};
    offset = dots;
  }
  while (offset - dots < entries_.size() || read_more()) {
    if (offset - dots >= entries_.size()) continue;  // the reader went ahead of what it was told
    const tree::Entry& entry = entries_[offset - dots];
    if (!sink.add(entry.name, entry.inode, type_bits(entry.type), offset + 1)) return {};
    ++offset;
  }
  return {};
}

}  // namespace umdev::sysfs
