// What a connection can go on telling after it has answered.
#pragma once

#include <memory>
#include <string>

#include "umdev/support/error.h"
#include "umdev/support/inline_function.h"

namespace umdev::control {

// One thing to tell: a JSON object as text, made once for all who are told.
using Item = std::shared_ptr<const std::string>;

// One listener's end. Destroying it ends the listening.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  // The next item; EAGAIN when there is none. Where some were lost, an item says so:
  // {"event": "lost", "count": 12}.
  virtual Result<Item> next() = 0;
};

// Threads: any. Nothing waits, and a listener that does not read holds up nobody: it has a bounded queue.
class Topic {
 public:
  // Called, with no lock held, when there is an item that was not there before; see tree::Feed.
  using Wake = InlineFunction<void(), 32>;

  virtual ~Topic() = default;
  // From here on nothing is missed without being told. EUSERS at the limit.
  virtual Result<std::unique_ptr<ItemReader>> listen(Wake wake) = 0;
};

// The item that says so.
Item lost_item(std::uint64_t count);

}  // namespace umdev::control
