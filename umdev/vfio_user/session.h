// One client of one device: a user who opened a container, chose type1v2, took the device's group and opened
// the device, told by messages instead of system calls. No I/O: messages come in, replies go to an outbox.
//
// Threads. Everything here is for one thread, the one that the executor runs posted work on and the clock
// runs timers on. What completes elsewhere (an access, an unmap, a reset, the opening) comes in through the
// mailbox.
// Lifetimes. Shared, because work that is posted to it may be under way when its owner drops it. The world
// that it is lent outlives it. end() (and so the destructor) gives everything back: device file, group file,
// container with its mappings, descriptors. Buffers that a driver still has live on by themselves.
// Errors. A client's mistake is its answer's errno; the session goes on. It ends when VERSION is refused
// (there is no session then), when the device is taken away, and when its owner says so (the stream ended or
// broke).
//
// Messages are handled one after the other. While one waits for the device, is_busy() is true. Then, and when
// many replies wait to be sent, the owner reads no more (takes_messages()), except while the client owes
// replies of its own to DMA_READ and DMA_WRITE: they are behind commands that it sent before, which are kept
// here meanwhile (message_dma.h).
//
// Answers:
//   VERSION            first; EBUSY when the device has a user, the errors of opening it; EINVAL a second
//   time anything before it EINVAL DMA_MAP            the kernel's MAP_DMA; ClientMemory::share's errors
//   where it brings a descriptor DMA_UNMAP          the kernel's UNMAP_DMA, v2: nothing there is success and
//   size 0 GET_INFO, REGION_INFO, IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, DEVICE_RESET: the device's
//   REGION_WRITE_MULTI the device's, one write after the other; how many were done, or the error of the first
//   REGION_IO_FDS      the device's, with at most as many descriptors as the client takes
//   DEVICE_FEATURE     the device's: the kernel's VFIO_DEVICE_FEATURE
//   MIG_DATA_READ, MIG_DATA_WRITE the data stream's; EINVAL in a state that has none, or the other one
//   every other        ENOTTY, the kernel's answer to a command that it does not know: REGION_WRITE_MULTI
//                      where VERSION did not agree on it, DIRTY_PAGES, DMA_READ and DMA_WRITE (ours to send),
//                      and numbers without a name
// Descriptors with a message that takes none, or more than were offered: EINVAL. Descriptors that were lost
// on the way: EMFILE. A message that wants no reply gets none, not even of an error. A reply to nothing that
// was asked is dropped.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/iommu/mapping_budget.h"
#include "umdev/support/done.h"
#include "umdev/support/host.h"
#include "umdev/vfio/container.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/irq_setup.h"
#include "umdev/vfio_user/backlog.h"
#include "umdev/vfio_user/counters.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/limits.h"
#include "umdev/vfio_user/message_dma.h"
#include "umdev/vfio_user/messages.h"
#include "umdev/vfio_user/outbox.h"
#include "umdev/vfio_user/tap.h"
#include "umdev/vfio_user/version.h"

namespace umdev::iommu {
class ClientMemory;
}

namespace umdev::vfio {
class Core;
class GroupFile;
}  // namespace umdev::vfio

namespace umdev::vfio_user {

class Mailbox;
class Operation;
struct SessionState;

// Which device a session is about, and as whom it is opened.
struct DeviceAddress {
  std::uint32_t iommu_group = 0;  // its number
  std::string name;               // as GROUP_GET_DEVICE_FD takes it
  vfio::Caller caller;
};

// What a session is lent.
struct SessionWorld {
  vfio::Core* core = nullptr;
  Executor* executor = nullptr;  // the session's thread; never runs work inside post()
  Clock* clock = nullptr;        // of the same thread
  Counters* counters = nullptr;  // of the same thread
  const Limits* limits = nullptr;
  std::shared_ptr<iommu::MappingBudget> budget;  // the daemon's
  TapLine tap = {};                              // the device's
};

// Told, on the session's thread, that the session did something outside handle(): it is not busy any more, it
// has a reply, or it has ended.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  virtual void session_changed() = 0;
  // The client wants what we ask of it on a socket of its own: this one. Where that goes out, or null when
  // such a socket cannot be served. The replies come to Session::handle_twin().
  virtual Outbox* open_twin(os::UniqueFd /*socket*/) { return nullptr; }
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `outbox` and `observer` must outlive the session, or its end().
  static std::shared_ptr<Session> create(SessionWorld world, DeviceAddress device, Outbox& outbox,
                                         SessionObserver& observer);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // May the owner read, and give the next message?
  bool takes_messages() const {
    return !has_ended() && (accepts_command() || (expects_replies() && backlog_.has_room(*world_.limits)));
  }
  // Takes one message. Precondition: takes_messages().
  void handle(const Frame& frame);
  // Takes one message of the twin socket: a reply, or what is answered with EINVAL there. Any time.
  void handle_twin(const Frame& frame);
  // Replies were sent: goes on with what waited for that.
  void resume();
  // Takes no further command until go_on(); replies of the client's it takes still. It stands when the one
  // under way has been answered.
  void pause() { paused_ = true; }
  void go_on();
  bool is_paused() const { return paused_; }
  bool stands() const { return paused_ && (!is_busy() || pending_ == Pending::retry); }
  // A session that goes to another place (session_state.h). What it waits for with the device's driver is
  // over by then: the device stands still. copy() freezes it until go_on(): nothing is sent any more. Its
  // sockets are the owner's to add. EBUSY, EIO, EMFILE: why it cannot go.
  Result<SessionState> copy();
  // The other way round, in a session that is new; paused and frozen until go_on(). `twin` is the outbox of
  // the state's twin, if it has one. See vfio::DeviceSessions::adopt(); an error has ended it.
  void adopt(SessionState state, Outbox* twin, Done<> done);
  // No message of the client's will come any more: its memory is out of reach.
  void client_left();
  // Replies of the client's are to come, on this socket: their bytes are read also while others wait.
  bool expects_replies() const { return dma_ != nullptr && twin_ == nullptr && dma_->expects_replies(); }
  // Looks at the message that has come in part: a large reply is received where it is wanted.
  void offer(FrameAssembler& assembler) {
    if (dma_ != nullptr) dma_->offer(assembler);
  }
  // How many messages of the usual size the last one was worth, for whoever shares out turns.
  std::uint32_t last_cost() const { return last_cost_; }

  bool is_busy() const { return pending_ != Pending::nothing; }
  // VERSION came, whatever became of it.
  bool has_spoken() const { return state_ != State::silent; }
  // No further message is taken; replies that wait should still be sent.
  bool has_ended() const { return state_ == State::ended; }
  // Why, for people.
  std::string_view end_reason() const { return end_reason_; }

  // Gives everything back. The observer is not called any more.
  void end(std::string_view reason);

  // Any thread, for `status`.
  bool is_open() const { return open_now_.load(std::memory_order_relaxed); }
  std::uint32_t mappings() const { return mappings_now_.load(std::memory_order_relaxed); }

 private:
  friend class Mailbox;
  // Messages that want a reply are timed, from their turn to the reply in the outbox; of accesses the first
  // and one in so many, for two looks at the clock are much beside one. A prime, so that it does not fall in
  // step with what a client repeats.
  static constexpr std::uint32_t timed_every = 17;
  enum class State : std::uint8_t { silent, opening, open, ended };
  enum class Pending : std::uint8_t {
    nothing,
    retry,
    opening,
    adopting,
    read,
    write,
    write_multi,
    unmap,
    feature,
    reset
  };

  Session(SessionWorld world, DeviceAddress device, Outbox& outbox, SessionObserver& observer);

  bool accepts_command() const {
    return !paused_ && !is_busy() && backlog_.empty() && has_room_for_replies();
  }
  bool has_room_for_replies() const { return outbox_.size() < world_.limits->output_high_water; }
  bool owes_reply() const { return is_busy() && wants_reply(request_); }
  void process(const Frame& frame);
  Result<> check_descriptors(const Frame& frame) const;
  Result<> dispatch(const Frame& frame);

  // session.cc: the mailbox's calls, the operation under way, replies.
  void operation_completed();
  void device_revoked();
  Operation& start(Pending pending);
  bool call_returned();
  void finish_operation();
  void begin_timing();
  void end_timing();
  void reply(ConstBytes head, ConstBytes data = {});
  void reply(ConstBytes head, ConstBytes data, std::vector<os::UniqueFd> fds);
  void refuse(const Error& error);

  // session_open.cc
  Result<> version(const Frame& frame);
  void try_open();
  void retry_open();
  Result<> open_group();
  void opening_failed(const Error& error);
  Result<> opened();
  void make_memory();
  Result<os::UniqueFd> open_twin();
  void close_files();

  // session_memory.cc
  Result<> dma_map(const Frame& frame);
  Result<> dma_unmap(const Frame& frame);
  Result<> unmapped(std::uint64_t bytes);
  Result<> add_dirty();
  void note_mappings();

  // session_move.cc
  Result<> copy_mappings(SessionState& state) const;
  Result<> restore_mappings(const SessionState& state);
  void adoption_failed(const Error& error);
  void adopted();

  // session_dma.cc
  std::shared_ptr<MessageDma> message_memory();
  void handle_reply(const Frame& frame, bool by_twin);
  void dma_asked();
  void send_dma();
  void dma_tick();
  Outbox& dma_outbox() { return twin_ != nullptr ? *twin_ : outbox_; }

  // session_device.cc
  Result<> get_info(const Frame& frame);
  Result<> region_info(const Frame& frame);
  Result<> irq_info(const Frame& frame);
  Result<> set_irqs(const Frame& frame);
  Result<> region_read(const Frame& frame);
  Result<> region_write(const Frame& frame);
  void accessed(std::uint64_t bytes);
  Result<> reset();

  // session_feature.cc
  Result<> device_feature(const Frame& frame);
  Result<> featured();
  Result<> mig_data_read(const Frame& frame);
  Result<> mig_data_write(const Frame& frame);

  // session_io_fds.cc
  Result<> region_io_fds(const Frame& frame);

  // session_write_multi.cc
  Result<> region_write_multi(const Frame& frame);
  void write_on();
  void write_answered();
  bool wrote(std::uint32_t count);
  void answer_writes();

  const SessionWorld world_;
  const DeviceAddress address_;
  Outbox& outbox_;
  SessionObserver& observer_;
  const std::shared_ptr<Mailbox> mailbox_;

  State state_ = State::silent;
  bool paused_ = false;
  bool frozen_ = false;         // nothing is sent
  bool shares_device_ = false;  // descriptors of the device's own went to the client
  struct Adoption {
    vfio::IrqSetup interrupts;
    Done<> done;
  };
  std::unique_ptr<Adoption> adoption_;  // under way
  std::string_view end_reason_;
  Pending pending_ = Pending::nothing;
  abi::VfioUserHeader request_{};       // that is being answered
  abi::VfioUserRegionAccess access_{};  // that is under way
  abi::VfioUserDmaUnmap unmap_{};       // that is under way
  abi::VfioUserBitmap bitmap_{};        // that goes with it
  std::vector<std::byte> dirty_;        // its bits
  Capabilities agreed_;                 // what both sides can do
  struct {
    std::uint32_t count = 0;
    std::uint32_t done = 0;
  } writes_;  // of a REGION_WRITE_MULTI that is under way
  std::uint32_t last_cost_ = 1;
  std::uint32_t fds_max_ = 1;      // that the client takes with one reply
  std::size_t feature_size_ = 0;   // of a DEVICE_FEATURE's payload
  VersionMessage version_answer_;  // while the device is being opened
  std::shared_ptr<Operation> operation_;
  std::uint32_t until_timed_ = 0;  // accesses
  bool is_timed_ = false;          // the message that is being answered, since begun_
  Time begun_{};

  Time opening_since_{};
  Timer retry_timer_;
  std::shared_ptr<vfio::Container> container_;
  std::shared_ptr<vfio::GroupFile> group_;
  std::shared_ptr<vfio::DeviceFile> device_;
  std::shared_ptr<iommu::IommuInstance> iommu_;
  std::unique_ptr<iommu::ClientMemory> memory_;

  std::shared_ptr<MessageDma> dma_;  // from the first mapping without a descriptor on
  Outbox* twin_ = nullptr;
  Backlog backlog_;
  Timer dma_timer_;
  std::uint64_t handled_ = 0;       // messages
  std::uint64_t owed_at_tick_ = 0;  // which message had no reply at the last tick

  std::atomic<bool> open_now_ = false;
  std::atomic<std::uint32_t> mappings_now_ = 0;
};

}  // namespace umdev::vfio_user
