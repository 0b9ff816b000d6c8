#include "umdev/support/gate.h"

#include <gtest/gtest.h>

#include "tests/support/outcome.h"

namespace umdev {
namespace {

using test::Outcome;

TEST(Gate, closing_waits_for_who_is_inside_and_keeps_others_out) {
  Gate gate;
  Gate::Pass first = gate.enter();
  Gate::Pass second = gate.enter();
  EXPECT_TRUE(first && second);
  Outcome<> closed;
  gate.close(closed.done());
  EXPECT_TRUE(gate.closed());
  EXPECT_FALSE(gate.enter());
  first.leave();
  EXPECT_FALSE(closed.is_done());
  second.leave();
  EXPECT_TRUE(closed.succeeded());
  EXPECT_FALSE(gate.enter());
  gate.open();
  EXPECT_TRUE(gate.enter());
}

TEST(Gate, closing_an_empty_gate_completes_at_once_and_opening_calls_a_close_off) {
  Gate gate;
  Outcome<> closed, waiting;
  gate.close(closed.done());
  EXPECT_TRUE(closed.succeeded());
  gate.open();
  const Gate::Pass pass = gate.enter();
  gate.close(waiting.done());
  gate.open();
  EXPECT_EQ(waiting.error(), ECANCELED);
}

TEST(Gate, closing_again_calls_the_earlier_close_off) {
  Gate gate;
  Outcome<> earlier, later;
  Gate::Pass pass = gate.enter();
  gate.close(earlier.done());
  gate.close(later.done());
  EXPECT_EQ(earlier.error(), ECANCELED);
  EXPECT_FALSE(later.is_done());
  pass.leave();
  EXPECT_TRUE(later.succeeded());
}

}  // namespace
}  // namespace umdev
