#include "umdev/os/worker_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/epoll.h>

#include <csignal>
#include <future>
#include <set>
#include <thread>

#include "tests/unit/os/fixtures.h"
#include "umdev/support/done.h"

namespace umdev::os {
namespace {

TEST(WorkerPool, of_no_workers_is_einval) {
  EXPECT_EQ(WorkerPool::create(0).error().code, EINVAL);
}

TEST(WorkerPool, picks_its_loops_in_turn) {
  const auto pool = WorkerPool::create(3);
  ASSERT_TRUE(pool);
  EXPECT_EQ((*pool)->size(), 3U);
  std::vector<EventLoop*> picked;
  for (int pick = 0; pick < 6; ++pick) picked.push_back(&(*pool)->next());
  EXPECT_EQ(std::set<EventLoop*>(picked.begin(), picked.begin() + 3).size(), 3U);
  EXPECT_TRUE(std::equal(picked.begin(), picked.begin() + 3, picked.begin() + 3));
}

TEST(WorkerPool, each_loop_runs_on_a_thread_of_its_own) {
  const auto pool = WorkerPool::create(3);
  ASSERT_TRUE(pool);
  std::set<std::thread::id> threads{std::this_thread::get_id()};
  for (int pick = 0; pick < 3; ++pick) {
    std::promise<std::thread::id> id;
    (*pool)->next().post([&] { id.set_value(std::this_thread::get_id()); });
    threads.insert(id.get_future().get());
  }
  EXPECT_EQ(threads.size(), 4U);
}

TEST(WorkerPool, one_stuck_loop_does_not_hold_the_others) {
  const auto pool = WorkerPool::create(2);
  ASSERT_TRUE(pool);
  std::promise<void> release;
  std::promise<void> progress;
  (*pool)->at(0).post([gate = release.get_future().share()] { gate.wait(); });
  (*pool)->at(1).post([&] { progress.set_value(); });
  progress.get_future().wait();
  release.set_value();
}

TEST(WorkerPool, work_pending_at_stop_is_destroyed_without_running_and_completes_with_ecanceled) {
  auto pool = WorkerPool::create(1);
  ASSERT_TRUE(pool);
  std::promise<void> entered;
  std::promise<void> release;
  (*pool)->at(0).post([&, gate = release.get_future().share()] {
    entered.set_value();
    gate.wait();
  });
  entered.get_future().wait();
  std::atomic<int> code = 0;
  auto done = std::make_unique<Done<>>([&](Result<> result) { code = result ? -1 : result.error().code; });
  (*pool)->at(0).post([held = std::move(done)] { (*held)(); });
  std::thread releaser([&] {
    // stop() has asked the loop to end by then, or has not: the work never runs in the first case only, so
    // the gate opens well after.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    release.set_value();
  });
  (*pool)->stop();
  releaser.join();
  EXPECT_EQ(code, ECANCELED);
}

TEST(WorkerPool, watches_may_end_after_stop) {
  auto pool = WorkerPool::create(1);
  ASSERT_TRUE(pool);
  const auto event = EventFd::create();
  Watch watched;
  std::promise<void> set;
  EventLoop& loop = (*pool)->at(0);
  loop.post([&] {
    watched = std::move(*loop.watch(event->get(), EPOLLIN, [](std::uint32_t) {}));
    set.set_value();
  });
  set.get_future().wait();
  (*pool)->stop();
  watched.cancel();
}

TEST(WorkerPool, loops_that_post_to_each_other_at_the_end_all_end) {
  struct Bounce {
    WorkerPool* pool;
    int left;
    void operator()() const {
      if (left > 0) pool->next().post(Bounce{pool, left - 1});
    }
  };
  for (int round = 0; round < 50; ++round) {
    auto pool = WorkerPool::create(2);
    ASSERT_TRUE(pool);
    for (int ball = 0; ball < 4; ++ball) (*pool)->next().post(Bounce{pool->get(), 1'000'000});
    (*pool)->stop();
  }
}

TEST(WorkerPool, its_threads_take_no_signals_but_their_own) {
  const auto pool = WorkerPool::create(1);
  ASSERT_TRUE(pool);
  std::promise<sigset_t> mask;
  (*pool)->at(0).post([&] {
    sigset_t set;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &set);
    mask.set_value(set);
  });
  const sigset_t set = mask.get_future().get();
  EXPECT_TRUE(sigismember(&set, SIGTERM));
  EXPECT_TRUE(sigismember(&set, SIGINT));
  EXPECT_FALSE(sigismember(&set, SIGBUS));
  EXPECT_FALSE(sigismember(&set, SIGSEGV));
}

TEST(WorkerPool, leaks_neither_descriptors_nor_threads) {
  const std::size_t before = count_open_fds();
  for (int round = 0; round < 20; ++round) ASSERT_TRUE(WorkerPool::create(4));
  EXPECT_EQ(count_open_fds(), before);
}

}  // namespace
}  // namespace umdev::os
