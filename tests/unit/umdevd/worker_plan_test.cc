#include "apps/umdevd/worker_plan.h"

#include <gtest/gtest.h>

namespace umdev::daemon {
namespace {

using namespace std::chrono_literals;

TEST(WorkerPlan, as_many_workers_as_processors_and_four_at_most) {
  for (const auto& [processors, workers] : {std::pair(1U, 1U), {2U, 2U}, {4U, 4U}, {64U, 4U}}) {
    const WorkerPlan plan = plan_workers(0, processors, 0us);
    EXPECT_EQ(plan.workers, workers) << processors;
    EXPECT_EQ(plan.spin, 0us) << processors;
  }
}

TEST(WorkerPlan, who_looks_leaves_a_processor_over) {
  for (const auto& [processors, workers] : {std::pair(2U, 1U), {3U, 2U}, {4U, 3U}, {5U, 4U}, {64U, 4U}}) {
    const WorkerPlan plan = plan_workers(0, processors, 50us);
    EXPECT_EQ(plan.workers, workers) << processors;
    EXPECT_EQ(plan.spin, 50us) << processors;
  }
}

TEST(WorkerPlan, nobody_looks_without_a_processor_to_spare) {
  EXPECT_EQ(plan_workers(0, 1, 50us).spin, 0us);
  EXPECT_EQ(plan_workers(2, 2, 50us).spin, 0us);
  EXPECT_EQ(plan_workers(8, 4, 50us).spin, 0us);
  EXPECT_EQ(plan_workers(8, 4, 50us).workers, 8U);
}

TEST(WorkerPlan, a_look_is_a_millisecond_at_most) {
  EXPECT_EQ(plan_workers(1, 4, 1h).spin, spin_max);
  EXPECT_EQ(plan_workers(1, 4, -1us).spin, 0us);
}

}  // namespace
}  // namespace umdev::daemon
