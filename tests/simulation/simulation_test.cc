#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

namespace umdev::simulation {
namespace {

using Defect = test::ClientModel::Defect;

TEST(Simulation, a_seed_is_the_same_run_again) {
  const Outcome first = simulate({.seed = 7, .steps = 800});
  const Outcome again = simulate({.seed = 7, .steps = 800});
  EXPECT_TRUE(first.good) << first.what;
  EXPECT_EQ(first.digest, again.digest);
  EXPECT_EQ(first.answers, again.answers);
  EXPECT_NE(first.digest, simulate({.seed = 8, .steps = 800}).digest);
}

// The model with a mistake in it stands for a server with one: either way they differ.
TEST(Simulation, a_defect_is_found_and_its_seed_replays) {
  for (const Defect defect : {Defect::unmap_forgets_nothing, Defect::write_is_lost}) {
    Options options{.seed = 1, .steps = 1500, .defect = defect};
    Outcome outcome = simulate(options);
    while (outcome.good && options.seed < 20) {
      ++options.seed;
      outcome = simulate(options);
    }
    ASSERT_FALSE(outcome.good) << "twenty seeds did not find it";
    const Outcome again = simulate(options);
    EXPECT_FALSE(again.good);
    EXPECT_EQ(again.what, outcome.what);
    EXPECT_EQ(again.step, outcome.step);
    EXPECT_EQ(again.digest, outcome.digest);
    options.defect = Defect::none;
    EXPECT_TRUE(simulate(options).good) << "the seed fails without the defect too";
  }
}

}  // namespace
}  // namespace umdev::simulation
