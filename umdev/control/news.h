// What watchers are told: the uevents of a model, and words of the daemon's own, in the order in which they
// came. Each item is a JSON object, made once for all watchers:
//
//   {"event": "add", "seqnum": 7, "devpath": "/devices/...", "subsystem": "mdev", "uuid": "...",
//    "parent": "mtty", "environment": ["ACTION=add", ...]}
//                                      an uevent; "uuid" and "parent" where it is about an mdev or below one
//   {"event": "defined", ...}          what tell() was given
//   {"event": "lost", "count": 12}     so many items are missing here: read the state afresh
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "umdev/control/limits.h"
#include "umdev/control/topic.h"
#include "umdev/device/event.h"
#include "umdev/support/uuid.h"
#include "umdev/tree/feed.h"

namespace umdev::control {

// Threads: any. Nothing waits, and a watcher that does not read holds up nobody: it has a bounded queue.
// Lifetimes: the events outlive it; readers may outlive it, and then nothing more comes.
class News final : public Topic {
  struct State;

 public:
  // One watcher's end; move-only. Destroying it ends the watch.
  class Reader final : public ItemReader {
   public:
    Reader() = default;
    Reader(Reader&&) noexcept = default;
    Reader& operator=(Reader&& other) noexcept;
    ~Reader() override;

    // ^ItemReader
    Result<Item> next() override;
    explicit operator bool() const { return state_ != nullptr; }

   private:
    friend class News;
    std::shared_ptr<State> state_;
    tree::Feed<Item>::Subscription subscription_;
    std::uint64_t told_lost_ = 0;
  };

  explicit News(device::Events& events, Limits limits = {});
  ~News() override;

  // From here on nothing is missed without being told. `wake` as in tree::Feed. EUSERS at the limit.
  Result<Reader> subscribe(Wake wake = {});
  // ^Topic: the same.
  Result<std::unique_ptr<ItemReader>> listen(Wake wake) override;

  // What the daemon itself has to say of an instance or a definition: an item with these fields, those left
  // out that are empty. Hold no lock.
  void tell(std::string_view event, const Uuid& uuid, std::string_view parent, std::string_view type);

  std::uint32_t watchers() const;

 private:
  const std::shared_ptr<State> state_;
};

}  // namespace umdev::control
