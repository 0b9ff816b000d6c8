// Which users a device is open for, as a wrapper that delays calls has to know it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace umdev::vfio {

// Users by User::id(). Not thread-safe: lives inside its owner's lock.
class OpenUsers {
 public:
  void add(std::uint64_t id) { ids_.push_back(id); }
  void remove(std::uint64_t id) { std::erase(ids_, id); }
  bool contains(std::uint64_t id) const { return std::ranges::find(ids_, id) != ids_.end(); }
  bool empty() const { return ids_.empty(); }

 private:
  std::vector<std::uint64_t> ids_;  // one, but for a multi-user device
};

}  // namespace umdev::vfio
