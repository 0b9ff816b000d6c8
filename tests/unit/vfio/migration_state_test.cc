// The state graph of migration: every way, against a table of our own.
#include "umdev/vfio/migration_state.h"

#include <gtest/gtest.h>

#include <string_view>

#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

using test::error_of;

// A state by a letter: S STOP, R RUNNING, C STOP_COPY, I RESUMING, P RUNNING_P2P, 1 PRE_COPY,
// 2 PRE_COPY_P2P, E ERROR.
constexpr std::string_view letters = "ESRCIP12";

char letter(MigrationState state) {
  return letters[static_cast<std::size_t>(state)];
}

struct Graph {
  std::uint64_t flags;
  // For each state to come from (STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P) the
  // first step to each of ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P.
  // '-' is EINVAL.
  const char* first_steps[7];
};

const Graph graphs[] = {
    {1, {"-SRCI---", "-SRSS---", "-SSCS---", "-SSSI---", "--------", "--------", "--------"}},
    {3, {"-SPCIP--", "-PRPPP--", "-SSCSS--", "-SSSIS--", "-SRSSP--", "--------", "--------"}},
    {5, {"-SRCI-R-", "-SRSS-1-", "-SSCS---", "-SSSI-S-", "--------", "-RRCR-1-", "--------"}},
    {7, {"-SPCIPPP", "-PRPPP1P", "-SSCSS--", "-SSSISSS", "-SRSSPR2", "-RR2RR12", "-PPCPP12"}},
};

TEST(MigrationStates, C43_the_first_step_of_every_way_in_every_graph) {
  int checked = 0;
  for (const Graph& graph : graphs) {
    for (std::uint32_t from = 1; from < migration_states; ++from) {
      for (std::uint32_t to = 0; to < migration_states; ++to) {
        const auto next =
            next_migration_state(graph.flags, *migration_state_of(from), *migration_state_of(to));
        const char got = next ? letter(*next) : '-';
        EXPECT_EQ(got, graph.first_steps[from - 1][to])
            << "flags " << graph.flags << ": " << name_of(*migration_state_of(from)) << " to "
            << name_of(*migration_state_of(to));
        EXPECT_EQ(error_of(next), next ? 0 : EINVAL);
        ++checked;
      }
    }
  }
  EXPECT_EQ(checked, 224);
}

TEST(MigrationStates, C43_every_step_is_an_arc_and_every_way_ends) {
  for (const std::uint64_t flags : {1U, 3U, 5U, 7U}) {
    for (std::uint32_t from = 1; from < migration_states; ++from) {
      for (std::uint32_t to = 1; to < migration_states; ++to) {
        MigrationState at = *migration_state_of(from);
        const MigrationState wanted = *migration_state_of(to);
        if (!next_migration_state(flags, at, wanted)) continue;
        int steps = 0;
        while (at != wanted) {
          const MigrationState next = next_migration_state(flags, at, wanted).value();
          EXPECT_TRUE(is_arc(flags, at, next)) << name_of(at) << " " << name_of(next);
          at = next;
          ASSERT_LT(++steps, 7);
        }
      }
    }
  }
}

TEST(MigrationStates, nothing_leads_out_of_error) {
  for (std::uint32_t to = 0; to < migration_states; ++to)
    EXPECT_FALSE(next_migration_state(7, MigrationState::error, *migration_state_of(to)));
}

TEST(MigrationStates, a_number_beyond_the_last_is_no_state) {
  EXPECT_FALSE(migration_state_of(8));
  EXPECT_FALSE(migration_state_of(UINT32_MAX));
}

}  // namespace
}  // namespace umdev::vfio
