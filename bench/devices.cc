#include "bench/devices.h"

namespace umdev::bench {

void SlowDevice::State::begin(vfio::ReadRequest request, Clock& clock, const std::shared_ptr<State>& self) {
  {
    const std::scoped_lock lock(mutex_);
    if (!hurries_) {
      waiting_.emplace(std::move(request));
      timer_ = clock.after(delay_, [self] { self->answer(); });
      return;
    }
  }
  request.complete_all();
}

void SlowDevice::State::answer() {
  std::optional<vfio::ReadRequest> request;
  {
    const std::scoped_lock lock(mutex_);
    request.swap(waiting_);
  }
  if (request) request->complete_all();
}

void SlowDevice::State::hurry() {
  Timer timer;
  {
    const std::scoped_lock lock(mutex_);
    hurries_ = true;
    timer = std::move(timer_);
  }
  answer();
}

}  // namespace umdev::bench
