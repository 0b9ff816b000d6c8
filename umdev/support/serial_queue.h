// One operation at a time, without a lock held while it runs: the next begins when the one before has
// completed.
#pragma once

#include <deque>
#include <memory>

#include "umdev/support/done.h"
#include "umdev/support/mutex.h"

namespace umdev {

// Serialises operations that may complete later, by a state and a queue. Operations run on the thread that
// posts them or on the one that completes the operation before; both from any thread. Shared, because an
// operation may outlive whoever posted it.
class SerialQueue : public std::enable_shared_from_this<SerialQueue> {
 public:
  // Calls its Done exactly once, inline or later.
  using Operation = InlineFunction<void(Done<>), 96>;

  void post(Operation operation) {
    {
      Lock lock(mutex_);
      queue_.push_back(std::move(operation));
      if (running_) return;
      running_ = true;
    }
    run();
  }

 private:
  // Runs operations as long as they complete inline; an operation that completes later goes on from its
  // completion.
  void run() {
    for (;;) {
      Operation operation;
      {
        Lock lock(mutex_);
        if (queue_.empty()) {
          running_ = false;
          return;
        }
        operation = std::move(queue_.front());
        queue_.pop_front();
        step_ = Step::running;
      }
      operation(Done<>([self = shared_from_this()](Result<>) { self->completed(); }));
      Lock lock(mutex_);
      if (step_ == Step::running) {
        step_ = Step::waiting;
        return;
      }
    }
  }

  void completed() {
    {
      Lock lock(mutex_);
      if (step_ == Step::running) {
        step_ = Step::completed_inline;
        return;
      }
    }
    run();
  }

  enum class Step : std::uint8_t { running, waiting, completed_inline };
  Mutex mutex_;
  std::deque<Operation> queue_ UMDEV_GUARDED_BY(mutex_);
  bool running_ UMDEV_GUARDED_BY(mutex_) = false;
  Step step_ UMDEV_GUARDED_BY(mutex_) = Step::waiting;
};

}  // namespace umdev
