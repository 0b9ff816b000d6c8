// The threads that serve clients: a fixed number of event loops.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "umdev/os/event_loop.h"

namespace umdev::os {

class WorkerPool {
 public:
  // Starts `count` (at least 1; EINVAL for 0) loops, each on a thread of its own. EMFILE, EAGAIN when the
  // system has not enough descriptors or threads.
  static Result<std::unique_ptr<WorkerPool>> create(std::size_t count);

  // Stops. All watches have ended by then.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t size() const;

  // The loop that takes the next client, round robin. Any thread. It lives as long as the pool.
  EventLoop& next();

  EventLoop& at(std::size_t index);

  // Ends the threads after the work that runs now, and destroys what is pending, so that its completions end
  // with ECANCELED (on the calling thread). From then on the loops belong to the calling thread: watches may
  // be ended there. Not from a worker. A second call destroys what was posted since.
  void stop();

 private:
  struct Worker;
  explicit WorkerPool(std::vector<Worker> workers);

  std::vector<Worker> workers_;
  std::atomic<std::size_t> next_ = 0;
};

}  // namespace umdev::os
