// A completion that somebody may never call, with an end.
#pragma once

#include <memory>

#include "umdev/support/done.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"

namespace umdev {

// Wraps `done` so that it completes at the latest after `limit`, then with ETIMEDOUT and after `expired` was
// called; whoever calls the returned Done later than that is ignored. Thread-safe as a Done is.
template <typename T>
Done<T> with_deadline(Clock& clock, Duration limit, Done<T> done, Work expired) {
  class Race : public std::enable_shared_from_this<Race> {
   public:
    Race(Done<T> winner, Work late) : done_(std::move(winner)), expired_(std::move(late)) {}

    void arm(Clock& time, Duration after) {
      Timer timer = time.after(after, [weak = this->weak_from_this()] {
        if (auto self = weak.lock()) self->expire();
      });
      Lock lock(mutex_);
      if (done_) timer_ = std::move(timer);
    }
    void complete(Result<T> result) {
      Done<T> mine;
      Timer timer;
      {
        Lock lock(mutex_);
        if (!done_) return;
        mine = std::move(done_);
        timer = std::move(timer_);
      }
      timer.cancel();
      mine(std::move(result));
    }

   private:
    void expire() {
      Done<T> mine;
      {
        Lock lock(mutex_);
        if (!done_) return;
        mine = std::move(done_);
      }
      if (expired_) expired_();
      mine(fail(ETIMEDOUT, "not completed in time"));
    }

    Mutex mutex_;
    Done<T> done_ UMDEV_GUARDED_BY(mutex_);
    Timer timer_ UMDEV_GUARDED_BY(mutex_);
    Work expired_;
  };
  auto race = std::make_shared<Race>(std::move(done), std::move(expired));
  race->arm(clock, limit);
  return Done<T>([race](Result<T> result) { race->complete(std::move(result)); });
}

}  // namespace umdev
