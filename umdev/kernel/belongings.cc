#include "umdev/kernel/belongings.h"

#include <algorithm>

namespace umdev::kernel {

void Belongings::add(const void* key, std::string_view what, std::string name, TakeBack take_back) {
  Lock lock(mutex_);
  entries_.push_back({.key = key, .what = what, .name = std::move(name), .take_back = std::move(take_back)});
}

void Belongings::remove(const void* key) {
  Lock lock(mutex_);
  const auto last = std::find_if(entries_.rbegin(), entries_.rend(),
                                 [key](const Entry& entry) { return entry.key == key; });
  if (last != entries_.rend()) entries_.erase(std::next(last).base());
}

bool Belongings::empty() const {
  Lock lock(mutex_);
  return entries_.empty();
}

void Belongings::take_back_all(Log& log, std::string_view module) {
  for (;;) {
    Entry entry;
    {
      Lock lock(mutex_);
      if (entries_.empty()) return;
      entry = std::move(entries_.back());
      entries_.pop_back();
    }
    log.warning("module " + std::string(module) + " left the " + std::string(entry.what) + " '" + entry.name +
                "' registered: taking it back");
    entry.take_back();
  }
}

}  // namespace umdev::kernel
