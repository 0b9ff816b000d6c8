// Bytes in arbitrary pieces become messages. No I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "umdev/abi/vfio_user.h"
#include "umdev/os/fd_batch.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::vfio_user {

// One message. `payload` and `fds` are the assembler's and stay good until its next call.
struct Frame {
  abi::VfioUserHeader header{};
  ConstBytes payload;
  os::FdBatch* fds = nullptr;  // never null; what is left in it is closed with the next frame
  // How many bytes behind `payload` went where divert() said.
  std::size_t diverted = 0;
};

// What came of a stream and was not taken out of it yet.
struct ReceivedBytes {
  struct Attached {
    std::uint32_t position = 0;  // of the message in `bytes`
    bool lost = false;           // some of its descriptors are
    std::vector<os::UniqueFd> fds;
  };
  static constexpr std::size_t attached_max = 2;

  std::vector<std::byte> bytes;
  std::vector<Attached> attached;  // by position
};

// Cuts a stream into messages. One buffer, which grows with the bytes that really came (a header that
// promises much costs nothing) up to the largest message. Not thread-safe. Once the buffer is there, nothing
// is allocated.
//
// The order of use: receive into space() and incoming_fds(), commit(), then next() until it has nothing; only
// then space() again.
//
// Which message descriptors belong to. A sender attaches them to the first byte of a message. A receive on a
// Linux stream socket hands out the bytes before that in the same call, and never a byte that was sent by a
// later call. So descriptors that come with a piece belong to the last message that begins in it. When none
// begins there they belong to nobody: they are closed, and fds->lost() says so in the message under way.
class FrameAssembler {
 public:
  // `max_message` bounds one message, header included; `buffer` is the size that the buffer has while no
  // message is larger.
  FrameAssembler(std::size_t max_message, std::size_t buffer);

  // Where the next bytes go; never empty. Precondition: next() had nothing.
  Bytes space();
  // Where the descriptors of the next bytes go.
  os::FdBatch& incoming_fds() { return incoming_; }
  // `count` bytes were put into space(), and their descriptors into incoming_fds().
  void commit(std::size_t count);

  // The next message, which stays good until the next call; null when more bytes are needed. An error is a
  // broken frame (EBADMSG a size below the header's, EMSGSIZE one above the largest message) and stays: the
  // stream has lost its frames.
  Result<const Frame*> next();

  // The message under way, when its header and `head` bytes behind it are there, but not all of it. The
  // payload is those bytes. Precondition: next() had nothing.
  std::optional<Frame> partial(std::size_t head) const;
  // What comes behind those bytes of it goes to `destination`, which is as long as that is, and stays good
  // until next() has given the message or abandon() was called. A large message is so received where it is
  // wanted, without a copy.
  void divert(std::size_t head, Bytes destination);
  // `owner` is not good any more: when the destination lies there, what is left of the message is thrown
  // away.
  void abandon(ConstBytes owner);

  // For the same stream at another place: what waits here, with copies of its descriptors; and the other way
  // round, into an assembler that has seen nothing yet. EBUSY a message that is received elsewhere
  // (divert()); EMFILE; EINVAL more than there is room for.
  Result<ReceivedBytes> copy() const;
  Result<> restore(ReceivedBytes received);

  // True when a part of a message has arrived.
  bool inside_message() const { return end_ > begin_; }
  // Nothing waits here, and nothing is left of the last message: next() has nothing, and nothing to do.
  bool is_idle() const { return end_ == begin_ && handed_out_ == nullptr; }
  // Bytes that wait in the buffer.
  std::size_t pending() const { return end_ - begin_; }
  std::size_t capacity() const { return capacity_; }

 private:
  struct Attached {
    std::uint64_t position = no_position;
    os::FdBatch fds;
  };
  static constexpr std::uint64_t no_position = UINT64_MAX;

  Result<> check_size(std::uint32_t size) const;
  void take_back();
  os::FdBatch& fds_of(std::uint64_t position);
  std::optional<std::uint64_t> last_start(std::size_t from) const;
  void attach(std::optional<std::uint64_t> start);
  Attached& slot_for(std::uint64_t position);
  Bytes diverted_space();
  void resize(std::size_t capacity);

  const std::size_t max_message_;
  const std::size_t usual_capacity_;
  std::size_t capacity_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t base_ = 0;  // the position in the stream of buffer_[0]
  os::FdBatch incoming_;
  os::FdBatch none_;
  // A message that began earlier and is incomplete may have some, and one that began in the last piece.
  std::array<Attached, 2> attached_;
  Attached* handed_out_ = nullptr;
  Frame frame_;  // that was given last
  // Of the message under way: the bytes that go elsewhere (none: nothing does), how many came, and where to.
  std::size_t diverted_size_ = 0;
  std::size_t diverted_ = 0;
  std::optional<Bytes> destination_;
};

}  // namespace umdev::vfio_user
