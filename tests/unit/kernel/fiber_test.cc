#include "umdev/kernel/fiber.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <thread>

namespace umdev::kernel {
namespace {

// Suspends `times` times, and keeps something on the stack meanwhile.
class Stops final : public Fiber::Body {
 public:
  Stops(Fiber& fiber, int times) : fiber_(fiber), times_(times) {}
  void run() override {
    std::array<int, 1000> kept;
    std::iota(kept.begin(), kept.end(), 0);
    for (int stop = 0; stop < times_; ++stop) fiber_.suspend();
    sum = std::accumulate(kept.begin(), kept.end(), 0);
  }
  int sum = 0;

 private:
  Fiber& fiber_;
  const int times_;
};

TEST(Fiber, a_body_that_never_suspends_ends_at_once) {
  const auto fiber = Fiber::create().value();
  Stops body(*fiber, 0);
  EXPECT_TRUE(fiber->start(body));
  EXPECT_EQ(body.sum, 499500);
}

TEST(Fiber, what_is_on_its_stack_stays_while_it_is_suspended) {
  const auto fiber = Fiber::create().value();
  Stops body(*fiber, 2);
  EXPECT_FALSE(fiber->start(body));
  EXPECT_EQ(body.sum, 0);
  EXPECT_FALSE(fiber->resume());
  EXPECT_TRUE(fiber->resume());
  EXPECT_EQ(body.sum, 499500);
}

TEST(Fiber, it_goes_on_on_another_thread) {
  const auto fiber = Fiber::create().value();
  Stops body(*fiber, 1);
  EXPECT_FALSE(fiber->start(body));
  bool ended = false;
  std::thread([&] { ended = fiber->resume(); }).join();
  EXPECT_TRUE(ended);
  EXPECT_EQ(body.sum, 499500);
}

TEST(Fiber, it_is_used_again_and_again_on_changing_threads) {
  const auto fiber = Fiber::create().value();
  for (int round = 0; round < 100; ++round) {
    Stops body(*fiber, round % 2);
    bool ended = fiber->start(body);
    if (!ended) std::thread([&] { ended = fiber->resume(); }).join();
    EXPECT_TRUE(ended);
    EXPECT_EQ(body.sum, 499500);
  }
}

TEST(Fiber, one_may_run_on_another) {
  const auto outer = Fiber::create().value();
  const auto inner = Fiber::create().value();
  struct Nested final : Fiber::Body {
    Fiber& outer;
    Fiber& inner;
    Stops body;
    bool ended = false;
    Nested(Fiber& one, Fiber& other) : outer(one), inner(other), body(other, 1) {}
    void run() override {
      static_cast<void>(inner.start(body));
      outer.suspend();
      ended = inner.resume();
    }
  } nested(*outer, *inner);
  EXPECT_FALSE(outer->start(nested));
  EXPECT_TRUE(outer->resume());
  EXPECT_TRUE(nested.ended);
  EXPECT_EQ(nested.body.sum, 499500);
}

}  // namespace
}  // namespace umdev::kernel
