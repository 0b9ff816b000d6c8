#include "umdev/os/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <future>
#include <thread>

#include "umdev/support/done.h"

namespace umdev::os {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<ThreadPool> make_pool(ThreadPoolLimits limits = {}) {
  auto pool = ThreadPool::create("test", limits);
  EXPECT_TRUE(pool);
  return std::move(*pool);
}

TEST(ThreadPool, limits_that_make_no_sense_are_einval) {
  EXPECT_EQ(ThreadPool::create("test", {.kept = 0}).error().code, EINVAL);
  EXPECT_EQ(ThreadPool::create("test", {.kept = 2, .most = 1}).error().code, EINVAL);
  EXPECT_EQ(ThreadPool::create("test", {.idle = -1s}).error().code, EINVAL);
}

TEST(ThreadPool, runs_posted_work_on_another_thread) {
  const auto pool = make_pool();
  std::promise<std::thread::id> id;
  pool->post([&] { id.set_value(std::this_thread::get_id()); });
  EXPECT_NE(id.get_future().get(), std::this_thread::get_id());
}

TEST(ThreadPool, starts_small) {
  EXPECT_EQ(make_pool()->count_threads(), 1U);
}

TEST(ThreadPool, starts_work_in_order_when_it_has_one_thread) {
  const auto pool = make_pool({.kept = 1, .most = 1});
  std::vector<int> order;
  std::promise<void> last;
  for (int number = 0; number < 100; ++number) pool->post([&, number] { order.push_back(number); });
  pool->post([&] { last.set_value(); });
  last.get_future().wait();
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(order.size(), 100U);
}

TEST(ThreadPool, work_really_runs_in_parallel) {
  std::barrier all(9);  // outlives the threads: they still leave it when the last one has come
  const auto pool = make_pool({.kept = 1, .most = 8});
  for (int piece = 0; piece < 8; ++piece) pool->post([&] { all.arrive_and_wait(); });
  all.arrive_and_wait();  // comes back only when all eight are inside at once
}

TEST(ThreadPool, stuck_threads_do_not_hold_later_work) {
  const auto pool = make_pool({.kept = 1, .most = 4});
  std::promise<void> release;
  auto gate = release.get_future().share();
  for (int stuck = 0; stuck < 3; ++stuck) pool->post([gate] { gate.wait(); });
  std::promise<void> progress;
  pool->post([&] { progress.set_value(); });
  progress.get_future().wait();
  release.set_value();
}

TEST(ThreadPool, grows_no_further_than_its_limit_and_then_the_work_waits) {
  const auto pool = make_pool({.kept = 1, .most = 2});
  std::promise<void> release;
  auto gate = release.get_future().share();
  std::atomic<int> inside = 0;
  for (int stuck = 0; stuck < 2; ++stuck) {
    pool->post([&, gate] {
      ++inside;
      gate.wait();
    });
  }
  while (inside < 2) std::this_thread::yield();
  std::atomic<bool> ran = false;
  std::promise<void> end;
  pool->post([&] {
    ran = true;
    end.set_value();
  });
  EXPECT_EQ(pool->count_threads(), 2U);
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(ran);
  release.set_value();
  end.get_future().wait();
}

TEST(ThreadPool, idle_threads_end_down_to_those_that_are_kept) {
  const auto pool = make_pool({.kept = 2, .most = 8, .idle = 10ms});
  std::barrier all(9);
  for (int piece = 0; piece < 8; ++piece) pool->post([&] { all.arrive_and_wait(); });
  all.arrive_and_wait();
  EXPECT_GE(pool->count_threads(), 2U);
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (pool->count_threads() > 2 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(pool->count_threads(), 2U);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(pool->count_threads(), 2U);
}

TEST(ThreadPool, an_idle_thread_is_used_again_before_another_is_started) {
  const auto pool = make_pool({.kept = 1, .most = 8});
  for (int round = 0; round < 50; ++round) {
    std::promise<void> ran;
    pool->post([&] { ran.set_value(); });
    ran.get_future().wait();
    std::this_thread::sleep_for(1ms);  // lets it lie down again
  }
  EXPECT_LE(pool->count_threads(), 2U);
}

TEST(ThreadPool, its_end_waits_for_what_runs) {
  auto pool = make_pool();
  std::promise<void> entered;
  std::atomic<bool> ended = false;
  pool->post([&] {
    entered.set_value();
    std::this_thread::sleep_for(50ms);
    ended = true;
  });
  entered.get_future().wait();
  pool.reset();
  EXPECT_TRUE(ended);
}

TEST(ThreadPool, what_has_not_started_at_its_end_completes_with_ecanceled) {
  auto pool = make_pool({.kept = 1, .most = 1});
  std::promise<void> entered;
  std::promise<void> release;
  pool->post([&, gate = release.get_future().share()] {
    entered.set_value();
    gate.wait();
  });
  entered.get_future().wait();
  std::promise<int> code;
  auto done =
      std::make_unique<Done<>>([&](Result<> result) { code.set_value(result ? 0 : result.error().code); });
  pool->post([held = std::move(done)] { (*held)(); });
  // The completion comes from the end of the pool, while the first piece is still inside.
  std::thread opener([&] {
    EXPECT_EQ(code.get_future().get(), ECANCELED);
    release.set_value();
  });
  pool.reset();
  opener.join();
}

TEST(ThreadPool, work_that_posts_at_the_end_harms_nobody) {
  for (int round = 0; round < 50; ++round) {
    auto pool = make_pool({.kept = 1, .most = 4});
    struct Again {
      ThreadPool* pool;
      void operator()() const { pool->post(Again{pool}); }
    };
    for (int piece = 0; piece < 4; ++piece) pool->post(Again{pool.get()});
    pool.reset();
  }
}

TEST(ThreadPool, nothing_stuck_is_nothing_abandoned) {
  const auto pool = make_pool();
  pool->post([] {});
  EXPECT_EQ(pool->abandon_stuck(30s), 0U);
  EXPECT_EQ(pool->count_threads(), 0U);
}

TEST(ThreadPool, stuck_work_is_abandoned_at_the_deadline_and_its_end_no_longer_waits) {
  auto pool = make_pool();
  struct Shared {  // what abandoned work touches must live on
    std::promise<void> entered;
    std::promise<void> release;
    std::promise<void> ended;
  };
  auto shared = std::make_shared<Shared>();
  pool->post([shared] {
    shared->entered.set_value();
    shared->release.get_future().wait();
    shared->ended.set_value();
  });
  shared->entered.get_future().wait();
  EXPECT_EQ(pool->abandon_stuck(10ms), 1U);
  pool.reset();
  shared->release.set_value();
  shared->ended.get_future().wait();
}

TEST(ThreadPool, posts_of_many_threads_all_run) {
  const auto pool = make_pool({.kept = 1, .most = 4});
  std::atomic<int> ran = 0;
  std::vector<std::thread> posters;
  for (int poster = 0; poster < 4; ++poster) {
    posters.emplace_back([&] {
      for (int number = 0; number < 1000; ++number) pool->post([&] { ++ran; });
    });
  }
  for (std::thread& poster : posters) poster.join();
  while (ran < 4000) std::this_thread::yield();
  EXPECT_LE(pool->count_threads(), 4U);
}

}  // namespace
}  // namespace umdev::os
