#include "umdev/os/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <thread>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/memfd.h"
#include "umdev/os/unix_socket.h"
#include "umdev/support/done.h"

namespace umdev::os {
namespace {

using namespace std::chrono_literals;

class EventLoopTest : public testing::Test {
 protected:
  EventLoopTest() {
    auto created = EventLoop::create();
    EXPECT_TRUE(created);
    loop_ = std::move(*created);
  }

  EventFd make_event() { return std::move(*EventFd::create()); }

  Watch watch(const EventFd& event, WatchCallback callback) {
    auto watched = loop_->watch(event.get(), EPOLLIN, std::move(callback));
    EXPECT_TRUE(watched);
    return std::move(*watched);
  }

  std::unique_ptr<EventLoop> loop_;
};

TEST_F(EventLoopTest, runs_posted_work_later_and_in_order) {
  std::vector<int> order;
  loop_->post([&] { order.push_back(1); });
  loop_->post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(loop_->run_once(), 2U);
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST_F(EventLoopTest, work_posted_by_work_waits_for_the_next_turn) {
  int runs = 0;
  loop_->post([&] { loop_->post([&] { ++runs; }); });
  loop_->run_once();
  EXPECT_EQ(runs, 0);
  loop_->run_once();
  EXPECT_EQ(runs, 1);
}

TEST_F(EventLoopTest, work_that_posts_itself_for_ever_does_not_starve_a_descriptor) {
  const EventFd event = make_event();
  event.signal();
  bool seen = false;
  struct Again {
    EventLoop* loop;
    void operator()() const { loop->post(Again{loop}); }
  };
  loop_->post(Again{loop_.get()});
  const Watch watched = watch(event, [&](std::uint32_t) {
    seen = true;
    loop_->stop();
  });
  loop_->run();
  EXPECT_TRUE(seen);
}

TEST_F(EventLoopTest, stop_from_another_thread_ends_a_loop_that_sleeps) {
  std::thread stopper([&] {
    std::this_thread::sleep_for(20ms);
    loop_->stop();
  });
  loop_->run();
  stopper.join();
}

TEST_F(EventLoopTest, stop_before_run_is_not_lost) {
  loop_->stop();
  loop_->run();
}

TEST_F(EventLoopTest, what_is_pending_at_stop_stays_pending) {
  int runs = 0;
  loop_->post([&] { loop_->stop(); });
  loop_->post([&] { ++runs; });
  loop_->run();
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(loop_->run_once(), 1U);
  EXPECT_EQ(runs, 1);
}

TEST_F(EventLoopTest, what_never_ran_is_destroyed_with_the_loop_and_completes_with_ecanceled) {
  std::vector<int> codes;
  auto record = [&](Result<> result) { codes.push_back(result.error().code); };
  struct Holder {  // a Done is as large as a Work: what holds one is posted by pointer
    Done<> done;
  };
  auto posted = std::make_unique<Holder>(Done<>(record));
  auto timed = std::make_unique<Holder>(Done<>(record));
  loop_->post([held = std::move(posted)] { held->done(); });
  const Timer timer = loop_->after(1h, [held = std::move(timed)] { held->done(); });
  loop_.reset();
  EXPECT_EQ(codes, (std::vector{ECANCELED, ECANCELED}));
}

TEST_F(EventLoopTest, work_destroyed_with_the_loop_may_post_more) {
  int destroyed = 0;
  struct PostsAtItsEnd {
    EventLoop* loop;
    int* count;
    int left;
    ~PostsAtItsEnd() {
      ++*count;
      if (left > 0) loop->post([next = std::make_unique<PostsAtItsEnd>(loop, count, left - 1)] {});
    }
  };
  loop_->post([first = std::make_unique<PostsAtItsEnd>(loop_.get(), &destroyed, 3)] {});
  loop_.reset();
  EXPECT_EQ(destroyed, 4);
}

TEST_F(EventLoopTest, posts_of_many_threads_all_run_each_threads_in_order) {
  constexpr int threads = 8;
  constexpr int posts = 2000;
  std::array<int, threads> next{};
  int ran = 0;
  std::vector<std::thread> posters;
  for (int thread = 0; thread < threads; ++thread) {
    posters.emplace_back([&, thread] {
      for (int number = 0; number < posts; ++number) {
        loop_->post([&, thread, number] {
          EXPECT_EQ(next[static_cast<std::size_t>(thread)]++, number);
          if (++ran == threads * posts) loop_->stop();
        });
      }
    });
  }
  loop_->run();
  for (std::thread& poster : posters) poster.join();
  EXPECT_EQ(ran, threads * posts);
}

TEST_F(EventLoopTest, calls_back_while_a_descriptor_is_ready) {
  const EventFd event = make_event();
  int calls = 0;
  const Watch watched = watch(event, [&](std::uint32_t events) {
    EXPECT_EQ(events, static_cast<std::uint32_t>(EPOLLIN));
    if (++calls == 2) event.take();
  });
  EXPECT_EQ(loop_->run_once(), 0U);
  event.signal();
  EXPECT_EQ(loop_->run_once(), 1U);
  EXPECT_EQ(loop_->run_once(), 1U);
  EXPECT_EQ(loop_->run_once(), 0U);
}

TEST_F(EventLoopTest, an_ended_watch_is_silent) {
  const EventFd event = make_event();
  int calls = 0;
  Watch watched = watch(event, [&](std::uint32_t) { ++calls; });
  event.signal();
  watched.cancel();
  EXPECT_FALSE(watched);
  EXPECT_EQ(loop_->run_once(), 0U);
  EXPECT_EQ(calls, 0);
}

TEST_F(EventLoopTest, a_callback_may_end_its_own_watch) {
  const EventFd event = make_event();
  event.signal();
  auto captured = std::make_shared<int>(7);
  const std::weak_ptr<int> alive = captured;
  Watch watched;
  int calls = 0;
  watched = watch(event, [&, captured = std::move(captured)](std::uint32_t) {
    ++calls;
    watched.cancel();
    EXPECT_EQ(*captured, 7);  // what runs is not destroyed under its feet
  });
  EXPECT_EQ(loop_->run_once(), 1U);
  EXPECT_TRUE(alive.expired());
  EXPECT_EQ(loop_->run_once(), 0U);
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, a_callback_may_end_another_watch_that_is_ready_in_the_same_batch) {
  std::array<EventFd, 8> events;
  std::array<Watch, 8> watches;
  int calls = 0;
  for (std::size_t index = 0; index < events.size(); ++index) {
    events[index] = make_event();
    events[index].signal();
    watches[index] = watch(events[index], [&](std::uint32_t) {
      ++calls;
      for (Watch& each : watches) each.cancel();
    });
  }
  loop_->run_once();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, a_callback_may_replace_a_watch_of_the_same_descriptor) {
  const EventFd event = make_event();
  event.signal();
  Watch watched;
  int first = 0;
  int second = 0;
  watched = watch(event, [&](std::uint32_t) {
    ++first;
    watched.cancel();
    watched = watch(event, [&](std::uint32_t) { ++second; });
  });
  loop_->run_once();
  EXPECT_EQ(second, 0);
  loop_->run_once();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

TEST_F(EventLoopTest, a_callback_that_owns_another_watch_ends_it_with_itself) {
  const EventFd outer = make_event();
  const EventFd inner = make_event();
  outer.signal();
  inner.signal();
  int inner_calls = 0;
  Watch watched;
  auto owned = std::make_unique<Watch>(watch(inner, [&](std::uint32_t) { ++inner_calls; }));
  watched = watch(outer, [&, owned = std::move(owned)](std::uint32_t) { watched.cancel(); });
  loop_->run_once();
  const int calls = inner_calls;
  loop_->run_once();
  EXPECT_EQ(inner_calls, calls);
}

TEST_F(EventLoopTest, set_events_changes_what_is_waited_for) {
  const EventFd event = make_event();
  std::uint32_t seen = 0;
  Watch watched = watch(event, [&](std::uint32_t events) { seen = events; });
  watched.set_events(EPOLLOUT);
  loop_->run_once();
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLOUT));
  watched.set_events(0);
  event.signal();
  EXPECT_EQ(loop_->run_once(), 0U);
  watched.set_events(EPOLLIN);
  loop_->run_once();
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLIN));
}

TEST_F(EventLoopTest, a_peer_that_closes_is_seen_without_being_asked_for) {
  auto pair = make_socket_pair();
  ASSERT_TRUE(pair);
  std::uint32_t seen = 0;
  const auto watched = loop_->watch((*pair)[0].get(), 0, [&](std::uint32_t events) { seen = events; });
  ASSERT_TRUE(watched);
  (*pair)[1].reset();
  loop_->run_once();
  EXPECT_NE(seen & EPOLLHUP, 0U);
}

TEST_F(EventLoopTest, what_cannot_be_watched_has_its_errno) {
  const auto memfd = create_memfd("test", 1);
  EXPECT_EQ(loop_->watch(memfd->get(), EPOLLIN, [](std::uint32_t) {}).error().code, EPERM);
  EXPECT_EQ(loop_->watch(-1, EPOLLIN, [](std::uint32_t) {}).error().code, EBADF);
  const EventFd event = make_event();
  const Watch watched = watch(event, [](std::uint32_t) {});
  EXPECT_EQ(loop_->watch(event.get(), EPOLLIN, [](std::uint32_t) {}).error().code, EEXIST);
}

TEST_F(EventLoopTest, timers_run_once_in_the_order_of_their_times_and_never_early) {
  std::vector<int> order;
  const Time start = loop_->now();
  const Timer late = loop_->at(start + 20ms, [&] {
    EXPECT_GE(loop_->now(), start + 20ms);
    order.push_back(2);
    loop_->stop();
  });
  const Timer early = loop_->at(start + 10ms, [&] {
    EXPECT_GE(loop_->now(), start + 10ms);
    order.push_back(1);
  });
  loop_->run();
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_EQ(loop_->run_once(), 0U);
}

TEST_F(EventLoopTest, a_timer_of_the_past_runs_in_the_next_turn) {
  int runs = 0;
  const Timer timer = loop_->at(Time{}, [&] { ++runs; });
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(loop_->run_once(1h), 1U);
  EXPECT_EQ(runs, 1);
}

TEST_F(EventLoopTest, a_cancelled_timer_does_not_run_and_its_work_is_destroyed_at_once) {
  auto captured = std::make_shared<int>();
  Timer timer = loop_->at(Time{}, [captured] { FAIL(); });
  timer.cancel();
  EXPECT_EQ(captured.use_count(), 1);
  EXPECT_EQ(loop_->run_once(), 0U);
}

TEST_F(EventLoopTest, a_timer_may_cancel_itself_and_others) {
  int runs = 0;
  Timer first;
  Timer second;
  auto cancel_both = [&] {
    ++runs;
    first.cancel();
    second.cancel();
  };
  first = loop_->at(Time{}, cancel_both);
  second = loop_->at(Time{}, cancel_both);
  loop_->run_once();
  EXPECT_EQ(runs, 1);
}

TEST_F(EventLoopTest, a_timer_that_is_set_from_another_thread_wakes_a_loop_that_sleeps) {
  const Timer far_away = loop_->after(1h, [] {});
  Timer timer;
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);
    timer = loop_->after(1ms, [&] { loop_->stop(); });
  });
  loop_->run();
  other.join();
}

TEST_F(EventLoopTest, a_timer_may_outlive_its_loop) {
  const Timer timer = loop_->after(1h, [] {});
  loop_.reset();
}

TEST_F(EventLoopTest, timers_are_set_and_cancelled_by_many_threads) {
  std::atomic<int> running = 4;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        auto fired = std::make_shared<std::atomic<bool>>(false);  // work owns what it touches
        const Timer short_one = loop_->after(50us, [fired] { *fired = true; });
        const Timer long_one = loop_->after(1h, [] { FAIL(); });
        if (round % 3 == 0) std::this_thread::sleep_for(60us);
      }
      if (--running == 0) loop_->stop();
    });
  }
  loop_->run();
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EventLoopTest, run_once_waits_no_longer_than_it_is_told) {
  const Time start = loop_->now();
  EXPECT_EQ(loop_->run_once(10ms), 0U);
  EXPECT_GE(loop_->now() - start, 10ms);
  EXPECT_LT(loop_->now() - start, 10s);
}

TEST_F(EventLoopTest, an_idle_loop_uses_no_cpu_time) {
  const EventFd event = make_event();
  const Watch watched = watch(event, [](std::uint32_t) {});
  const Timer far_away = loop_->after(1h, [] {});
  const Timer end = loop_->after(200ms, [&] { loop_->stop(); });
  rusage before{};
  rusage after{};
  ::getrusage(RUSAGE_THREAD, &before);
  loop_->run();
  ::getrusage(RUSAGE_THREAD, &after);
  EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 3);  // it went to sleep once, and was woken once
}

TEST_F(EventLoopTest, knows_its_thread) {
  EXPECT_TRUE(loop_->on_loop_thread());
  std::thread runner([&] { loop_->run(); });
  std::atomic<bool> inside = false;
  loop_->post([&] {
    EXPECT_TRUE(loop_->on_loop_thread());
    inside = true;
  });
  while (!inside) std::this_thread::yield();
  EXPECT_FALSE(loop_->on_loop_thread());
  loop_->stop();
  runner.join();
  EXPECT_TRUE(loop_->on_loop_thread());
}

TEST_F(EventLoopTest, creating_one_leaks_no_descriptor) {
  loop_.reset();
  const std::size_t before = count_open_fds();
  {
    const auto other = EventLoop::create();
  }
  EXPECT_EQ(count_open_fds(), before);
}

using EventLoopDeathTest = EventLoopTest;

TEST_F(EventLoopDeathTest, a_watch_from_another_thread_is_an_assertion) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const EventFd event = make_event();
  EXPECT_DEATH(
      {
        std::atomic<bool> runs = false;
        loop_->post([&] { runs = true; });
        std::thread runner([&] { loop_->run(); });
        while (!runs) std::this_thread::yield();
        const auto watched = loop_->watch(event.get(), EPOLLIN, [](std::uint32_t) {});
      },
      "only for the loop's thread");
}

TEST_F(EventLoopDeathTest, closing_a_descriptor_before_its_watch_ends_is_an_assertion) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        EventFd event = make_event();
        Watch watched = watch(event, [](std::uint32_t) {});
        event = EventFd();
        watched.cancel();
      },
      "closed before its watch ended");
}

TEST_F(EventLoopDeathTest, running_inside_a_callback_is_an_assertion) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  loop_->post([&] { loop_->run_once(); });
  EXPECT_DEATH(loop_->run_once(), "runs already");
  loop_->discard_pending();
}

}  // namespace
}  // namespace umdev::os
