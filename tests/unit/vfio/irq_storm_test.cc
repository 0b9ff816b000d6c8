// Eventfds that are replaced while a device raises: for the thread sanitizer, and for the promise of set().
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/support/fake_watcher.h"
#include "tests/support/irq_client.h"
#include "umdev/abi/vfio.h"
#include "umdev/vfio/irq_set.h"

namespace umdev::vfio {
namespace {

constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;
constexpr std::uint32_t unmask = abi::vfio_irq_set_action_unmask;

// Two threads that raise until the end of the test's body.
class Storm {
 public:
  Storm(IrqSet& irqs, std::uint32_t index) {
    for (std::thread& thread : threads_) {
      thread = std::thread([this, &irqs, index] {
        while (!stop_.load(std::memory_order_relaxed)) {
          irqs.raise(index);
          irqs.lower(index);
          // Gives its processor away here, not in the middle of a signal, for which set() has to wait.
          std::this_thread::yield();
        }
      });
    }
  }
  ~Storm() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::array<std::thread, 2> threads_;
};

TEST(IrqStorm, stress_a_replaced_eventfd_is_never_signalled_after_set_returned) {
  IrqSet irqs({{}, {}, {abi::vfio_irq_info_eventfd, 1}}, nullptr);
  test::IrqClient client(irqs);
  const std::array<os::EventFd, 2> events{os::EventFd::create().value(), os::EventFd::create().value()};
  std::uint64_t heard = 0;
  {
    const Storm storm(irqs, 2);
    for (unsigned swap = 0; swap < 100'000; ++swap) {
      const os::EventFd& now = events[swap % 2];
      const os::EventFd& before = events[(swap + 1) % 2];
      // It was drained one round ago, after it had been replaced.
      ASSERT_EQ(now.take(), 0U) << "signalled after it was replaced, swap " << swap;
      ASSERT_TRUE(client.eventfd(trigger, 2, 0, now.dup().value()));
      heard += before.take();
    }
  }
  EXPECT_GT(heard, 0U) << "nothing was raised, so nothing was tested";
}

TEST(IrqStorm, stress_a_line_under_storm_signals_once_for_each_unmask_at_most) {
  test::FakeWatcher watcher;
  IrqSet irqs({{abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked, 1}},
              &watcher);
  test::IrqClient client(irqs);
  const os::EventFd resample = os::EventFd::create().value();
  ASSERT_TRUE(client.listen(0));
  ASSERT_TRUE(client.eventfd(unmask, 0, 0, resample.dup().value()));
  std::uint64_t heard = 0;
  std::uint64_t unmasked = 1;
  {
    const Storm storm(irqs, 0);
    for (; unmasked < 20'000; ++unmasked) {
      heard += client.take(0);
      ASSERT_LE(heard, unmasked);
      if (unmasked % 2 == 0) {
        ASSERT_TRUE(client.none(unmask, 0));
      } else {
        resample.signal();
        ASSERT_EQ(watcher.deliver(), 1U);
      }
    }
  }
  EXPECT_GT(heard, 1U);
}

TEST(IrqStorm, stress_the_set_up_may_be_taken_down_and_built_again_under_storm) {
  IrqSet irqs({{abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked, 1}},
              nullptr);
  test::IrqClient client(irqs);
  const Storm storm(irqs, 0);
  for (unsigned round = 0; round < 5'000; ++round) {
    ASSERT_TRUE(client.listen(0));
    ASSERT_TRUE(client.none(abi::vfio_irq_set_action_mask, 0));
    irqs.clear_pending();
    ASSERT_TRUE(client.none(trigger, 0));
    ASSERT_TRUE(client.none(unmask, 0));
    ASSERT_TRUE(client.disable(0));
    EXPECT_FALSE(irqs.enabled(0));
  }
}

}  // namespace
}  // namespace umdev::vfio
