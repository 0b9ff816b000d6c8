// Messages that wait to be sent. No I/O: whoever sends asks for the next piece and says what went.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"

namespace umdev::vfio_user {

// A queue of bytes with descriptors attached to messages. Not thread-safe. Once it has grown, nothing is
// allocated.
//
// A message with a descriptor is always a piece of its own: the receiver may take several messages at once,
// and must still see which of them the descriptor belongs to.
class Outbox {
 public:
  // Appends one message, the parts one behind the other.
  void send(std::initializer_list<ConstBytes> parts, os::UniqueFd fd = {});

  bool empty() const { return begin_ == bytes_.size(); }
  // Bytes that wait.
  std::size_t size() const { return bytes_.size() - begin_; }

  // What goes in one send, with the descriptor (or none) that goes with its first byte.
  struct Piece {
    ConstBytes bytes;
    std::span<const int> fds;
  };
  // Precondition: not empty. Valid until the next call of anything but empty() and size().
  Piece front();
  // The first `count` bytes of the piece went, and with them its descriptor.
  void sent(std::size_t count);

 private:
  struct Attachment {
    std::uint64_t begin = 0;  // positions in the stream
    std::uint64_t end = 0;
    os::UniqueFd fd;
  };
  // So much stays allocated when nothing waits.
  static constexpr std::size_t kept_capacity = 65536;

  std::uint64_t position() const { return base_ + begin_; }

  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;
  std::uint64_t base_ = 0;  // the position in the stream of bytes_[0]
  std::vector<Attachment> attachments_;
  std::size_t first_attachment_ = 0;
  int front_fd_ = -1;
};

}  // namespace umdev::vfio_user
