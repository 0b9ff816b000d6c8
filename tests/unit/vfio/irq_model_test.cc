// A level-triggered interrupt against a plain model, in every order of events.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/support/fake_watcher.h"
#include "tests/support/irq_client.h"
#include "umdev/abi/vfio.h"
#include "umdev/vfio/irq_set.h"

namespace umdev::vfio {
namespace {

enum class Event : std::uint8_t {
  raise,
  lower,
  pulse,
  mask,
  unmask,
  resample,
  listen,
  silence,
  disable,
  reset,
  last
};

constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t unmask = abi::vfio_irq_set_action_unmask;
constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;

// What the text of IrqSet says, one sentence a line, with no thought for threads.
struct Model {
  bool enabled = false, listening = false, masked = false, line = false, pulsed = false;
  std::uint64_t signals = 0;

  void settle() {
    if (masked) return;
    if (listening && (line || pulsed)) {
      ++signals;
      masked = true;
    }
    pulsed = false;
  }
  void apply(Event event) {
    if (event == Event::raise) line = true;
    if (event == Event::lower) line = false;
    if (event == Event::pulse) pulsed = true;
    if (event == Event::mask && enabled) masked = true;
    if ((event == Event::unmask || event == Event::resample) && enabled) masked = false;
    if (event == Event::listen) enabled = listening = true;
    if (event == Event::silence) enabled = true, listening = false;
    if (event == Event::disable) enabled = listening = masked = pulsed = false;
    if (event == Event::reset) line = pulsed = false;
    settle();
  }
};

struct Real {
  test::FakeWatcher watcher;
  IrqSet irqs{{{abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked, 1}},
              &watcher};
  test::IrqClient client{irqs};
  os::EventFd resample = os::EventFd::create().value();
  std::uint64_t signals = 0;

  void apply(Event event) {
    if (event == Event::raise) irqs.raise(0);
    if (event == Event::lower) irqs.lower(0);
    if (event == Event::pulse) irqs.pulse(0);
    if (event == Event::mask) (void)client.none(mask, 0);
    if (event == Event::unmask) (void)client.none(unmask, 0);
    if (event == Event::resample) {
      (void)client.eventfd(unmask, 0, 0, resample.dup().value());
      resample.signal();
      watcher.deliver();
      (void)resample.take();
    }
    signals += client.take(0);  // before the eventfd is replaced
    if (event == Event::listen) (void)client.listen(0);
    if (event == Event::silence) (void)client.eventfd(trigger, 0, 0, {});
    if (event == Event::disable) (void)client.disable(0);
    if (event == Event::reset) irqs.clear_pending();
    signals += client.take(0);
  }
};

RC_GTEST_PROP(IrqModel, a_line_signals_exactly_as_often_as_the_model,
              (const std::vector<std::uint8_t>& numbers)) {
  Model model;
  Real real;
  for (const std::uint8_t number : numbers) {
    const auto event = static_cast<Event>(number % static_cast<unsigned>(Event::last));
    model.apply(event);
    real.apply(event);
    RC_LOG() << "event " << static_cast<unsigned>(event) << "\n";
    RC_ASSERT(real.signals == model.signals);
    RC_ASSERT(real.irqs.enabled(0) == model.enabled);
  }
}

}  // namespace
}  // namespace umdev::vfio
