#include "umdev/vfio/serialized.h"

#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "umdev/support/mutex.h"
#include "umdev/vfio/open_users.h"

namespace umdev::vfio {

// Whose turn it is. Shared with the calls that are inside or queued, which may outlive the wrapper by as long
// as they need to return.
class Serialized::Turns final : public AccessSlot, public std::enable_shared_from_this<Turns> {
 public:
  // Enters the inner device; the turn lasts until it has returned and end_of_call() was called.
  using Call = InlineFunction<void(Turns&), 160>;

  Turns(std::shared_ptr<Device> inner, Executor& executor) : inner_(std::move(inner)), executor_(executor) {}

  Device& inner() { return *inner_; }

  // Runs the call at once if the device is free and nobody waits, or queues it.
  void enter_or_queue(Call call) UMDEV_EXCLUDES(mutex_) {
    {
      Lock lock(mutex_);
      if (inside_ || uncompleted_ || !queue_.empty()) {
        queue_.push_back(std::move(call));
        return;
      }
      begin(/*completes_later=*/true);
    }
    run(call);
  }

  // Runs the call and returns its answer.
  template <typename Answering>
  auto enter_now(Answering answering) -> decltype(answering()) {
    UMDEV_TRY(wait_for_turn());
    const auto self = shared_from_this();
    auto answer = answering();
    returned();
    return answer;
  }

  // Calls of the inner device that complete through this one. Only inside a turn.
  void start(ReadRequest request) {
    take_target(request, request.data());
    read_.emplace(std::move(request));
    inner_->read(ReadRequest(*this));
  }
  void start(WriteRequest request) {
    const ConstBytes from = request.data();
    // A WriteRequest shows its driver constant bytes only.
    auto* const data = const_cast<std::byte*>(from.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    take_target(request, Bytes(data, from.size()));
    write_.emplace(std::move(request));
    inner_->write(WriteRequest(*this));
  }
  // After which completions the device is no longer open for a user.
  enum class Forget : std::uint8_t { never, on_error, always };
  Done<> forward(Done<> done, Forget forget = Forget::never, std::uint64_t user_id = 0) {
    done_ = std::move(done);
    return Done<>([self = shared_from_this(), forget, user_id](Result<> result) {
      if (forget == Forget::always || (forget == Forget::on_error && !result)) self->forget_user(user_id);
      std::exchange(self->done_, {})(std::move(result));
      self->end_of_call();
    });
  }
  void end_of_call() UMDEV_EXCLUDES(mutex_) { end_part(&Turns::uncompleted_); }

  // ^AccessSlot
  void complete(Result<std::size_t> result) override {
    if (read_) {
      auto request = std::exchange(read_, std::nullopt);
      request->complete(std::move(result));
    } else {
      auto request = std::exchange(write_, std::nullopt);
      request->complete(std::move(result));
    }
  }
  void let_go() override {
    const auto self = std::exchange(kept_by_request_, nullptr);
    end_of_call();
  }

  void add_user(std::uint64_t id) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    users_.add(id);
  }
  void forget_user(std::uint64_t id) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    users_.remove(id);
  }
  bool is_open_for(std::uint64_t id) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return users_.contains(id);
  }

 private:
  template <typename Request>
  void take_target(const Request& request, Bytes data) {
    target_ = {.user = &request.user(), .region = request.region(), .offset = request.offset(), .data = data};
    kept_by_request_ = shared_from_this();
  }

  void begin(bool completes_later) UMDEV_REQUIRES(mutex_) {
    inside_ = true;
    uncompleted_ = completes_later;
    thread_inside_ = std::this_thread::get_id();
  }

  Result<> wait_for_turn() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    while (inside_) {
      if (thread_inside_ == std::this_thread::get_id())
        return fail(EDEADLK, "a serialised device was called from inside itself");
      returned_.wait(mutex_);
    }
    if (uncompleted_) return fail(EBUSY, "an access of the serialised device is uncompleted");
    begin(/*completes_later=*/false);
    return {};
  }

  void run(Call& call) UMDEV_EXCLUDES(mutex_) {
    const auto self = shared_from_this();
    call(*this);
    returned();
  }
  void returned() UMDEV_EXCLUDES(mutex_) { end_part(&Turns::inside_); }

  // Ends one of the two things that occupy the device. Whoever ends the second one sees to the queue.
  void end_part(bool Turns::* part) UMDEV_EXCLUDES(mutex_) {
    bool post = false;
    {
      Lock lock(mutex_);
      this->*part = false;
      if (!inside_) returned_.notify_all();
      post = !inside_ && !uncompleted_ && !queue_.empty() && !next_is_posted_;
      if (post) next_is_posted_ = true;
    }
    if (post) executor_.post([self = shared_from_this()] { self->run_next(); });
  }

  void run_next() UMDEV_EXCLUDES(mutex_) {
    Call call;
    {
      Lock lock(mutex_);
      next_is_posted_ = false;
      // Somebody who could not be queued was quicker, and sees to the queue afterwards.
      if (inside_ || uncompleted_ || queue_.empty()) return;
      call = std::move(queue_.front());
      queue_.pop_front();
      begin(/*completes_later=*/true);
    }
    run(call);
  }

  const std::shared_ptr<Device> inner_;
  Executor& executor_;

  Mutex mutex_;
  Condition returned_;
  bool inside_ UMDEV_GUARDED_BY(mutex_) = false;       // a function of the device has not returned
  bool uncompleted_ UMDEV_GUARDED_BY(mutex_) = false;  // what it was called for has not been completed
  bool next_is_posted_ UMDEV_GUARDED_BY(mutex_) = false;
  std::thread::id thread_inside_ UMDEV_GUARDED_BY(mutex_);
  std::deque<Call> queue_ UMDEV_GUARDED_BY(mutex_);
  OpenUsers users_ UMDEV_GUARDED_BY(mutex_);

  // Of the call whose turn it is, and nobody else's.
  std::optional<ReadRequest> read_;
  std::optional<WriteRequest> write_;
  Done<> done_;
  // The driver's request refers to this object, and may be the last that does.
  std::shared_ptr<Turns> kept_by_request_;
};

Serialized::Serialized(std::unique_ptr<Device> inner_device, Executor& executor)
    : DeviceWrapper(std::move(inner_device)), turns_(std::make_shared<Turns>(inner(), executor)) {}

Serialized::~Serialized() = default;

void Serialized::open_device(User& user, Done<> done) {
  turns_->add_user(user.id());
  turns_->enter_or_queue([&user, done = std::move(done)](Turns& turns) mutable {
    turns.inner().open_device(user, turns.forward(std::move(done), Turns::Forget::on_error, user.id()));
  });
}

void Serialized::close_device(User& user, Done<> done) {
  turns_->enter_or_queue([&user, done = std::move(done)](Turns& turns) mutable {
    turns.inner().close_device(user, turns.forward(std::move(done), Turns::Forget::always, user.id()));
  });
}

void Serialized::read(ReadRequest request) {
  turns_->enter_or_queue(
      [request = std::move(request)](Turns& turns) mutable { turns.start(std::move(request)); });
}

void Serialized::write(WriteRequest request) {
  turns_->enter_or_queue(
      [request = std::move(request)](Turns& turns) mutable { turns.start(std::move(request)); });
}

void Serialized::reset(User& user, Done<> done) {
  turns_->enter_or_queue([&user, done = std::move(done)](Turns& turns) mutable {
    turns.inner().reset(user, turns.forward(std::move(done)));
  });
}

void Serialized::request(unsigned count) {
  turns_->enter_or_queue([count](Turns& turns) {
    turns.inner().request(count);
    turns.end_of_call();
  });
}

void Serialized::dma_unmap(User& user, iommu::IovaRange range) {
  const std::uint64_t id = user.id();
  if (!turns_->is_open_for(id)) return;
  turns_->enter_or_queue([&user, id, range](Turns& turns) {
    // A user lives until its close has completed, which may have been queued before this.
    if (turns.is_open_for(id)) turns.inner().dma_unmap(user, range);
    turns.end_of_call();
  });
}

Result<> Serialized::set_irqs(User& user, IrqRequest& request) {
  return turns_->enter_now([&] { return turns_->inner().set_irqs(user, request); });
}

Result<std::vector<IoEventFd>> Serialized::io_event_fds(User& user, std::uint32_t region) {
  return turns_->enter_now([&] { return turns_->inner().io_event_fds(user, region); });
}

Result<std::vector<MmapExtent>> Serialized::mmap(User& user, const MmapRequest& request) {
  return turns_->enter_now([&] { return turns_->inner().mmap(user, request); });
}

Result<std::vector<std::byte>> Serialized::device_feature(User& user, const FeatureRequest& request) {
  return turns_->enter_now([&] { return turns_->inner().device_feature(user, request); });
}

Result<std::uint32_t> Serialized::ioctl(User& user, IoctlRequest request) {
  return turns_->enter_now([&] { return turns_->inner().ioctl(user, request); });
}

}  // namespace umdev::vfio
