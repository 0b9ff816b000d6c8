#include "umdev/os/worker_pool.h"

#include <latch>

#include "umdev/os/thread.h"

namespace umdev::os {

struct WorkerPool::Worker {
  // Ends a thread that create() started before it failed.
  Worker(std::unique_ptr<EventLoop> its_loop, std::thread its_thread)
      : loop(std::move(its_loop)), thread(std::move(its_thread)) {}
  Worker(Worker&&) noexcept = default;
  Worker& operator=(Worker&&) = delete;
  ~Worker() { stop(); }

  void stop() {
    if (!thread.joinable()) return;
    loop->stop();
    thread.join();
  }

  std::unique_ptr<EventLoop> loop;
  std::thread thread;
};

Result<std::unique_ptr<WorkerPool>> WorkerPool::create(std::size_t count) {
  if (count == 0) return fail(EINVAL, "a pool of no workers");
  std::latch all_run(static_cast<std::ptrdiff_t>(count));
  std::vector<Worker> workers;
  workers.reserve(count);
  for (std::size_t index = 0; index < count; ++index) {
    auto loop = UMDEV_TRY(EventLoop::create());
    EventLoop* running = loop.get();
    auto thread = UMDEV_TRY(start_thread("umdev-worker", [running] { running->run(); }));
    workers.emplace_back(std::move(loop), std::move(thread));
    running->post([&all_run] { all_run.count_down(); });
  }
  // So that from here on the loops' own assertions catch who touches them from outside.
  all_run.wait();
  return std::unique_ptr<WorkerPool>(new WorkerPool(std::move(workers)));
}

WorkerPool::WorkerPool(std::vector<Worker> workers) : workers_(std::move(workers)) {}

WorkerPool::~WorkerPool() {
  stop();
}

std::size_t WorkerPool::size() const {
  return workers_.size();
}

EventLoop& WorkerPool::next() {
  return *workers_[next_.fetch_add(1, std::memory_order_relaxed) % workers_.size()].loop;
}

EventLoop& WorkerPool::at(std::size_t index) {
  return *workers_[index].loop;
}

void WorkerPool::stop() {
  for (Worker& worker : workers_)
    if (worker.thread.joinable()) worker.loop->stop();  // all at once, then wait for each
  for (Worker& worker : workers_) worker.stop();
  // What is destroyed here may post to any of them.
  for (bool again = true; again;) {
    again = false;
    for (Worker& worker : workers_) again |= worker.loop->discard_pending();
  }
}

}  // namespace umdev::os
