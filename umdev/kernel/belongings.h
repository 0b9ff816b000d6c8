// What a module has registered and not taken back yet, so that nothing of it is left when it has gone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "umdev/support/inline_function.h"
#include "umdev/support/log.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

// Any thread.
class Belongings {
 public:
  // Takes it back as the module's own function would, waiting for its users.
  using TakeBack = InlineFunction<void(), 32>;

  // `key` is the module's object.
  void add(const void* key, std::string_view what, std::string name, TakeBack take_back)
      UMDEV_EXCLUDES(mutex_);
  void remove(const void* key) UMDEV_EXCLUDES(mutex_);
  bool empty() const UMDEV_EXCLUDES(mutex_);

  // Takes everything back, what came last first, and says of each that the module `left` it.
  void take_back_all(Log& log, std::string_view module) UMDEV_EXCLUDES(mutex_);

 private:
  struct Entry {
    const void* key;
    std::string_view what;
    std::string name;
    TakeBack take_back;
  };
  mutable Mutex mutex_;
  std::vector<Entry> entries_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::kernel
