#include "umdev/manage/metrics.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/support/prometheus_text.h"

namespace umdev::manage {
namespace {

using test::PrometheusText;

TEST(PrometheusFormat, Counters_and_gauges_have_help_kind_and_labels) {
  MetricSet set;
  set.gauge("umdev_b", "Things.", 3, {{"parent", "mtty"}, {"type", "mtty-2"}});
  set.gauge("umdev_b", "Things.", 0, {{"parent", "mtty"}, {"type", "mtty-1"}});
  set.counter("umdev_a_total", "Events.", 7);
  EXPECT_EQ(to_prometheus(set),
            "# HELP umdev_a_total Events.\n"
            "# TYPE umdev_a_total counter\n"
            "umdev_a_total 7\n"
            "# HELP umdev_b Things.\n"
            "# TYPE umdev_b gauge\n"
            "umdev_b{parent=\"mtty\",type=\"mtty-2\"} 3\n"
            "umdev_b{parent=\"mtty\",type=\"mtty-1\"} 0\n");
}

TEST(PrometheusFormat, A_histogram_is_in_seconds_and_cumulative) {
  Histogram histogram;
  histogram.record(std::chrono::nanoseconds(100));
  histogram.record(std::chrono::nanoseconds(1000));
  histogram.record(std::chrono::hours(1));
  MetricSet set;
  set.histogram("umdev_seconds", "Times.", histogram.values(), {{"door", "tree"}});
  const PrometheusText text(to_prometheus(set));
  EXPECT_EQ(text.problem(), "");
  EXPECT_EQ(text.value("umdev_seconds_bucket", {{"door", "tree"}, {"le", "1.28e-07"}}), 1);
  EXPECT_EQ(text.value("umdev_seconds_bucket", {{"door", "tree"}, {"le", "5.12e-07"}}), 1);
  EXPECT_EQ(text.value("umdev_seconds_bucket", {{"door", "tree"}, {"le", "1.024e-06"}}), 2);
  EXPECT_EQ(text.value("umdev_seconds_bucket", {{"door", "tree"}, {"le", "+Inf"}}), 3);
  EXPECT_EQ(text.value("umdev_seconds_count", {{"door", "tree"}}), 3);
  EXPECT_DOUBLE_EQ(*text.value("umdev_seconds_sum", {{"door", "tree"}}), 3600.0000011);
}

TEST(PrometheusFormat, What_a_value_may_hold_is_escaped) {
  const std::string value = "a\"b\\c\nd{e}=,f";
  MetricSet set;
  set.gauge("umdev_x", "A help with \\ and\nanother line.", 1, {{"name", value}});
  const PrometheusText text(to_prometheus(set));
  EXPECT_EQ(text.problem(), "");
  EXPECT_EQ(text.value("umdev_x", {{"name", value}}), 1);
  EXPECT_EQ(text.helps().at("umdev_x"), "A help with \\\\ and\\nanother line.");
}

RC_GTEST_PROP(PrometheusFormat, any_label_comes_back, (const std::string& value, std::uint32_t number)) {
  MetricSet set;
  set.counter("umdev_x_total", "X.", number, {{"name", value}});
  const PrometheusText text(to_prometheus(set));
  RC_ASSERT(text.problem() == "");
  RC_ASSERT(text.value("umdev_x_total", {{"name", value}}) == static_cast<double>(number));
}

TEST(PrometheusFormat, Large_counters_are_whole_numbers) {
  MetricSet set;
  set.counter("umdev_bytes_total", "Bytes.", 123'456'789'012'345);
  EXPECT_NE(to_prometheus(set).find("umdev_bytes_total 123456789012345\n"), std::string::npos);
}

// The judge has to see what is wrong, or its silence says nothing.
TEST(PrometheusReader, Complains_of_what_is_wrong) {
  constexpr std::string_view head = "# HELP a A.\n# TYPE a gauge\n";
  constexpr std::string_view times = "# HELP h H.\n# TYPE h histogram\n";
  for (const std::string& text :
       {std::string("a 1\n"), std::string(head) + "a 1", std::string(head) + "a x\n",
        std::string(head) + "a{b=\"c} 1\n", std::string(head) + "a{b=\"\\x\"} 1\n",
        std::string(head) + "a 1\na 2\n", std::string(head) + std::string(head) + "a 1\n",
        std::string(head) + "1a 1\n", std::string(times) + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        std::string(times) + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        std::string(times) + "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
        std::string(times) + "h_bucket{le=\"+Inf\"} 1\nh_count 1\n"})
    EXPECT_NE(PrometheusText(text).problem(), "") << text;
  EXPECT_EQ(PrometheusText(std::string(head) + "a{b=\"\",c=\"d\"} 1e3\n").problem(), "");
}

class Source final : public MetricSource {
 public:
  explicit Source(std::string label) : label_(std::move(label)) {}
  void report(MetricSet& set) const override { set.gauge("umdev_x", "X.", 1, {{"of", label_}}); }

 private:
  const std::string label_;
};

TEST(MetricsRegistry, Asks_every_source_when_somebody_looks) {
  Metrics metrics;
  EXPECT_TRUE(metrics.collect().families().empty());
  const Source one("one");
  const Source two("two");
  metrics.add(one);
  metrics.add(two);
  EXPECT_EQ(metrics.collect().families().at("umdev_x").metrics.size(), 2U);
}

}  // namespace
}  // namespace umdev::manage
