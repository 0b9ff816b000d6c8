#include "umdev/vfio/blocking_device.h"

#include <deque>
#include <string>
#include <thread>
#include <utility>

#include "umdev/os/thread.h"
#include "umdev/support/assert.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/open_users.h"

namespace umdev::vfio {

// The thread and its queue. Shared with completions of the inner device, which may come late.
class BlockingDevice::Worker final : public std::enable_shared_from_this<Worker> {
 public:
  using Call = InlineFunction<void(), 160>;

  Worker(std::shared_ptr<Device> inner, Executor& executor, std::size_t queue_limit)
      : inner_(std::move(inner)), executor_(executor), queue_limit_(queue_limit) {}

  Device& inner() { return *inner_; }

  // Before the user's open is posted; starts the thread for the first one.
  Result<> add_user(std::uint64_t id) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    if (!running_) {
      // The thread of the last time has decided to end and takes no lock any more.
      if (thread_.joinable()) thread_.join();
      thread_ = UMDEV_TRY(os::start_thread(std::string(inner_->name()).c_str(),
                                           [self = shared_from_this()] { self->run(); }));
      running_ = true;
    }
    users_.add(id);
    return {};
  }
  // After its close has completed, or its open failed; the thread ends with the last one.
  void remove_user(std::uint64_t id) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    users_.remove(id);
    wake_.notify_all();
  }
  bool is_open_for(std::uint64_t id) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return users_.contains(id);
  }

  // Queues a call, or calls its refuse() when that would exceed the queue's limit.
  template <typename Refusable>
  void post_or_refuse(Refusable call) UMDEV_EXCLUDES(mutex_) {
    const Result<> posted = post_limited(call);
    if (!posted) call.refuse(posted.error());
  }
  // Queues a call that must be made; the core bounds their number.
  void post(Call call) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    if (running_) push(std::move(call));
  }

  // Completes `done` on the executor.
  void complete(std::unique_ptr<Done<>> done, Result<> result) {
    executor_.post(
        [done = std::move(done), result = std::move(result)]() mutable { (*done)(std::move(result)); });
  }

  void stop() UMDEV_EXCLUDES(mutex_) {
    std::deque<Call> dropped;
    std::thread thread;
    {
      Lock lock(mutex_);
      stopping_ = true;
      std::swap(dropped, queue_);
      thread = std::move(thread_);
      wake_.notify_all();
    }
    dropped.clear();
    UMDEV_ASSERT(thread.get_id() != std::this_thread::get_id(), "a blocking device was destroyed by itself");
    if (thread.joinable()) thread.join();
  }

 private:
  // Takes the call only when it succeeds.
  template <typename Callable>
  Result<> post_limited(Callable& call) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    if (!running_) return fail(ENODEV, "the device is not open");
    if (queue_.size() >= queue_limit_) return fail(EAGAIN, "too many calls wait for a blocking device");
    push(std::move(call));
    return {};
  }

  void push(Call call) UMDEV_REQUIRES(mutex_) {
    queue_.push_back(std::move(call));
    wake_.notify_all();
  }

  void run() UMDEV_EXCLUDES(mutex_) {
    for (;;) {
      Call call;
      {
        Lock lock(mutex_);
        while (queue_.empty() && !stopping_ && !users_.empty()) wake_.wait(mutex_);
        if (queue_.empty() || stopping_) {
          running_ = false;
          return;
        }
        call = std::move(queue_.front());
        queue_.pop_front();
      }
      call();
    }
  }

  const std::shared_ptr<Device> inner_;
  Executor& executor_;
  const std::size_t queue_limit_;

  Mutex mutex_;
  Condition wake_;
  std::deque<Call> queue_ UMDEV_GUARDED_BY(mutex_);
  OpenUsers users_ UMDEV_GUARDED_BY(mutex_);
  std::thread thread_ UMDEV_GUARDED_BY(mutex_);
  bool running_ UMDEV_GUARDED_BY(mutex_) = false;
  bool stopping_ UMDEV_GUARDED_BY(mutex_) = false;
};

// Calls that may be refused.
struct BlockingDevice::ReadCall {
  Worker& worker;
  ReadRequest request;
  void operator()() { worker.inner().read(std::move(request)); }
  void refuse(Error error) { request.complete(std::unexpected(error)); }
};
struct BlockingDevice::WriteCall {
  Worker& worker;
  WriteRequest request;
  void operator()() { worker.inner().write(std::move(request)); }
  void refuse(Error error) { request.complete(std::unexpected(error)); }
};
struct BlockingDevice::ResetCall {
  Worker& worker;
  User& user;
  Done<> done;
  void operator()() { worker.inner().reset(user, std::move(done)); }
  void refuse(Error error) { done(std::unexpected(error)); }
};

BlockingDevice::BlockingDevice(std::unique_ptr<Device> inner_device, Executor& executor,
                               std::size_t queue_limit)
    : DeviceWrapper(std::move(inner_device)),
      worker_(std::make_shared<Worker>(inner(), executor, queue_limit)) {}

BlockingDevice::~BlockingDevice() {
  worker_->stop();
}

void BlockingDevice::open_device(User& user, Done<> done) {
  const std::uint64_t id = user.id();
  if (const auto added = worker_->add_user(id); !added) return done(std::unexpected(added.error()));
  worker_->post([worker = worker_, &user, id, done = std::move(done)]() mutable {
    // A Done does not fit into another one.
    auto opened = std::make_unique<Done<>>(std::move(done));
    worker->inner().open_device(user, [worker, id, opened = std::move(opened)](Result<> result) mutable {
      if (!result) worker->remove_user(id);
      worker->complete(std::move(opened), std::move(result));
    });
  });
}

void BlockingDevice::close_device(User& user, Done<> done) {
  worker_->post([worker = worker_, &user, id = user.id(), done = std::move(done)]() mutable {
    auto closed = std::make_unique<Done<>>(std::move(done));
    worker->inner().close_device(user, [worker, id, closed = std::move(closed)](Result<> result) mutable {
      worker->remove_user(id);
      worker->complete(std::move(closed), std::move(result));
    });
  });
}

void BlockingDevice::read(ReadRequest request) {
  worker_->post_or_refuse(ReadCall{*worker_, std::move(request)});
}

void BlockingDevice::write(WriteRequest request) {
  worker_->post_or_refuse(WriteCall{*worker_, std::move(request)});
}

void BlockingDevice::reset(User& user, Done<> done) {
  worker_->post_or_refuse(ResetCall{*worker_, user, std::move(done)});
}

void BlockingDevice::request(unsigned count) {
  worker_->post([worker = worker_.get(), count] { worker->inner().request(count); });
}

void BlockingDevice::dma_unmap(User& user, iommu::IovaRange range) {
  const std::uint64_t id = user.id();
  if (!worker_->is_open_for(id)) return;
  worker_->post([worker = worker_.get(), &user, id, range] {
    // Until its close has completed the user lives.
    if (worker->is_open_for(id)) worker->inner().dma_unmap(user, range);
  });
}

}  // namespace umdev::vfio
