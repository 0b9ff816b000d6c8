// DMA_READ and DMA_WRITE: a device's accesses to memory that only its client can reach.
//
// A device asks on any thread; messages and replies are the session's thread's. One access (a transfer) is
// cut into messages of the size that was agreed on, of which a limited number is under way at a time. A reply
// finds its message by the id that we gave it. Large data are not copied here: those of a DMA_READ are
// received where the device wants them (offer()), those of a DMA_WRITE sent from where the device has them
// (Outbox::send_borrowed()).
//
// Errors that a device sees: EDEADLK (below); EAGAIN more than Limits::dma_transfers at once; ETIMEDOUT no
// reply for Limits::dma_deadline; EFAULT the client says that nothing is there, or unmapped it meanwhile;
// EPERM as the client says; EOPNOTSUPP a client that does not serve such messages; EIO other errors of the
// client's, and replies that do not fit; ENODEV the client is gone.
//
// Who waits for whom. QEMU serves these messages on the thread that also waits for our replies, so while a
// reply is owed none is sent, and none that is under way may be waited for:
//   - asked for inside a request that is answered inside its call: sent behind the reply;
//   - asked for inside a request that is not answered when the call returns: EDEADLK at once, for its answer
//     seems to wait for the memory;
//   - a reply is owed for longer than Limits::dma_patience: EDEADLK for all that was asked for before.
// Requests that want no reply (posted writes) are not in the way.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/types.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/limits.h"
#include "umdev/vfio_user/outbox.h"

namespace umdev::vfio_user {

class Mailbox;

// The backing of such memory: one for the whole address space of a client, so that an offset is an IOVA.
// Shared: mappings keep it, also when the session is gone (ENODEV then).
class MessageDma final : public iommu::Backing {
 public:
  // `message_data`: the most data of one message.
  MessageDma(std::shared_ptr<Mailbox> mailbox, const Limits& limits, std::uint32_t message_data);

  // ^iommu::Backing, any thread. Never completes inside the call, except with an error.
  Bytes mapped() override { return {}; }
  void read(std::uint64_t iova, Bytes into, Done<> done) override UMDEV_EXCLUDES(mutex_);
  void write(std::uint64_t iova, ConstBytes from, Done<> done) override UMDEV_EXCLUDES(mutex_);

  // --- The session's thread.

  // Around the handling of a message: what is asked for on this thread meanwhile is asked for inside it.
  void enter(bool reply_owed);
  void leave();
  // The call returned without an answer: EDEADLK for what was asked for inside.
  void refuse_inside();

  // A device asked for something since send().
  bool has_news() const { return has_news_.load(std::memory_order_acquire); }
  // Nothing waits, and no reply is missing.
  bool is_idle() const { return live_.empty() && under_way_ == 0 && !has_news(); }
  bool expects_replies() const { return under_way_ != 0; }

  // Appends messages for what waits, as far as the number under way and what waits in the outbox allow. The
  // number of messages.
  std::uint32_t send(Outbox& outbox);
  // False when it is no reply to a message of ours.
  bool handle_reply(const Frame& frame);
  // When the message under way is a large reply of ours, receives it where it is wanted.
  void offer(FrameAssembler& assembler);

  // Ends what touches a range (EFAULT), or everything from now on (ENODEV).
  void cancel(iommu::IovaRange range);
  void close();

  // A period (Limits::dma_patience) has passed. `reply_owed`: one and the same has been owed all that time.
  void tick(bool reply_owed);

 private:
  struct Transfer {
    std::byte* into = nullptr;  // of a read
    const std::byte* from = nullptr;
    iommu::IovaRange range;
    std::uint64_t asked = 0;     // bytes in messages that were sent
    std::uint64_t done = 0;      // bytes in messages that were answered
    std::uint32_t messages = 0;  // under way
    std::uint32_t idle_ticks = 0;
    std::uint32_t ticks = 0;
    bool inside = false;
    Done<> complete;

    bool is_read() const { return into != nullptr; }
  };
  struct Message {
    Transfer* transfer = nullptr;  // null when it ended without the reply
    std::uint64_t offset = 0;      // in the transfer
    std::uint32_t size = 0;
    std::uint16_t id = 0;
    bool is_read = false;
    bool used = false;
  };
  static constexpr std::uint16_t slot_count = 64;  // a power of two; the rest of an id counts uses

  void submit(iommu::IovaRange range, std::byte* into, const std::byte* from, Done<> done)
      UMDEV_EXCLUDES(mutex_);
  Transfer* take_free() UMDEV_REQUIRES(mutex_);
  void take_news() UMDEV_EXCLUDES(mutex_);
  void send_one(Transfer& transfer, Outbox& outbox);
  Message& free_message();
  Message* find(const abi::VfioUserHeader& reply);
  void finish(Transfer& transfer, Result<> result) UMDEV_EXCLUDES(mutex_);
  template <typename Which>
  void end_those(const Error& error, Which which);

  const std::shared_ptr<Mailbox> mailbox_;
  const Limits limits_;
  const std::uint32_t message_data_;

  // What a thread that asks wants to know of the session's.
  std::atomic<std::thread::id> inside_thread_{};
  std::atomic<bool> has_news_ = false;

  Mutex mutex_;
  bool closed_ UMDEV_GUARDED_BY(mutex_) = false;
  bool told_ UMDEV_GUARDED_BY(mutex_) = false;  // the mailbox knows of the news
  std::vector<std::unique_ptr<Transfer>> transfers_ UMDEV_GUARDED_BY(mutex_);
  std::vector<Transfer*> free_ UMDEV_GUARDED_BY(mutex_);
  std::vector<Transfer*> news_ UMDEV_GUARDED_BY(mutex_);

  // The session's thread only.
  bool reply_owed_ = false;
  std::vector<Transfer*> live_;  // in the order in which they are sent
  std::vector<Message> messages_;
  bool progress_ = false;  // a reply came since the last tick
  std::uint32_t under_way_ = 0;
  std::uint32_t next_slot_ = 0;
  std::uint16_t uses_ = 0;
  Outbox* outbox_ = nullptr;  // that messages went to
  FrameAssembler* receiver_ = nullptr;
  std::uint16_t received_id_ = 0;  // whose data go from the receiver to their transfer
};

}  // namespace umdev::vfio_user
