// Messages that wait to be sent. No I/O: whoever sends asks for the next piece and says what went.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/assert.h"
#include "umdev/support/byte_queue.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"
#include "umdev/vfio_user/tap.h"

namespace umdev::vfio_user {

// What waits and goes in one send, for an outbox at another place.
struct UnsentPiece {
  std::vector<std::byte> bytes;
  std::vector<os::UniqueFd> fds;
};

// A queue of bytes with descriptors attached to messages. Not thread-safe. Once it has grown, nothing is
// allocated, except for descriptors.
//
// A message with a descriptor or a body is always a piece of its own: the receiver may take several messages
// at once, and must still see which of them the descriptor belongs to.
class Outbox {
 public:
  // Who traces what is sent.
  void set_tap(TapLine line) { tap_ = std::move(line); }

  // Appends one message, the parts one behind the other.
  void send(std::initializer_list<ConstBytes> parts) {
    tap_.message(/*from_client=*/false, parts, 0);
    append(parts);
  }
  void send(std::initializer_list<ConstBytes> parts, std::vector<os::UniqueFd> fds);

  // Appends one message whose end is `body`, which is not copied: it stays the caller's until it was sent, or
  // until keep().
  void send_borrowed(std::initializer_list<ConstBytes> parts, ConstBytes body);
  // Bodies that lie in `owner` and wait yet are copied: their owner needs its memory.
  void keep(ConstBytes owner);

  // Everything that waits, with copies of its descriptors (EMFILE); and the other way round.
  Result<std::vector<UnsentPiece>> copy() const;
  void restore(std::vector<UnsentPiece> pieces);

  bool empty() const { return size() == 0; }
  // Bytes that wait.
  std::size_t size() const { return bytes_.size() + borrowed_; }

  // Bytes that are allocated for it, bodies not counted.
  std::size_t memory() const { return bytes_.capacity() + attachments_.capacity() * sizeof(Attachment); }

  // What goes in one send, with the descriptors (or none) that go with its first byte.
  struct Piece {
    ConstBytes bytes;
    ConstBytes body;  // behind them
    std::span<const int> fds;

    std::size_t size() const { return bytes.size() + body.size(); }
  };
  // Precondition: not empty. Valid until the next call of anything but empty() and size(). One of `bytes` and
  // `body` may be empty.
  Piece front() {
    UMDEV_ASSERT(!empty(), "nothing to send");
    return attachments_.empty() ? Piece{.bytes = bytes_.bytes(), .body = {}, .fds = {}} : front_attached();
  }
  // The first `count` bytes of the piece went, and with them its descriptors.
  void sent(std::size_t count) { attachments_.empty() ? bytes_.drop(count) : sent_attached(count); }

 private:
  // What belongs to a message beside its bytes here.
  struct Attachment {
    std::uint64_t begin = 0;  // positions among the bytes here
    std::uint64_t end = 0;
    std::vector<os::UniqueFd> fds;
    ConstBytes body;              // what waits of it
    std::vector<std::byte> kept;  // that `body` is in, when its owner did not wait
  };
  // So many of what went stay before those that wait.
  static constexpr std::size_t kept_attachments = 64;

  void append(std::initializer_list<ConstBytes> parts) { bytes_.append(parts); }
  Piece front_attached();
  void sent_attached(std::size_t count);
  void forget_sent();
  void sent_of(Attachment& message, std::size_t count);

  ByteQueue bytes_;
  std::size_t borrowed_ = 0;  // bytes of bodies that wait
  std::vector<Attachment> attachments_;
  std::size_t first_attachment_ = 0;
  std::vector<int> front_fds_;
  TapLine tap_;
};

}  // namespace umdev::vfio_user
