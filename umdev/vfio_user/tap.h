// What passes on the sockets of one device, for whoever traces it.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/host.h"
#include "umdev/tree/feed.h"

namespace umdev::vfio_user {

// One message, as it was on the wire.
struct TappedMessage {
  Time time{};                // when it was taken up, or when it was ready to be sent
  std::uint64_t session = 0;  // of this tap, counted from 1
  bool from_client = false;
  std::uint32_t descriptors = 0;  // that came along
  std::uint32_t size = 0;         // of the whole message
  std::vector<std::byte> bytes;   // its first ones, the header included
};

// Threads: any. Nothing waits: whoever reads too slowly loses messages, and is told so. Costs one load a
// message while nobody looks.
class Tap {
 public:
  using Item = std::shared_ptr<const TappedMessage>;
  using Feed = tree::Feed<Item>;

  // As many bytes of a message are kept.
  static constexpr std::size_t kept_bytes = 4096;

  bool is_on() const { return feed_.has_subscribers(); }
  // `parts` are the message, one behind the other; what is missing at its end its header tells. Hold no lock.
  void record(Time time, std::uint64_t session, bool from_client, std::initializer_list<ConstBytes> parts,
              std::size_t descriptors);

  Feed::Subscription subscribe(std::size_t capacity, Feed::Wake wake) {
    return feed_.subscribe(capacity, std::move(wake));
  }
  std::uint64_t next_session() { return ++sessions_; }

 private:
  Feed feed_;
  std::atomic<std::uint64_t> sessions_ = 0;
};

// One session's way to the tap of its device, or to none.
struct TapLine {
  std::shared_ptr<Tap> tap = nullptr;
  std::uint64_t session = 0;
  Clock* clock = nullptr;  // where there is a tap

  // A new session's.
  static TapLine of(const std::shared_ptr<Tap>& tap, Clock& clock) {
    return {.tap = tap, .session = tap ? tap->next_session() : 0, .clock = &clock};
  }

  // `parts` are the whole message, or its beginning: its header says how long it is.
  void message(bool from_client, std::initializer_list<ConstBytes> parts, std::size_t descriptors) const {
    if (tap && tap->is_on()) tap->record(clock->now(), session, from_client, parts, descriptors);
  }
};

}  // namespace umdev::vfio_user
