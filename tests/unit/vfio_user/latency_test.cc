// Which messages are timed, and how.
#include "tests/unit/vfio_user/session_fixture.h"

namespace umdev::vfio_user {
namespace {

class Latency : public test::SessionFixture {
 public:
  HistogramValues of(abi::VfioUserCommand command) { return counters.latency(command).values(); }
  std::uint64_t count(abi::VfioUserCommand command) { return of(command).count(); }
  void read() {
    send_read(0, 4);
    expect_reply();
  }
};

TEST_F(Latency, of_accesses_the_first_and_one_in_seventeen_is_timed) {
  open_session();
  read();
  EXPECT_EQ(count(abi::vfio_user_region_read), 1U);
  for (int message = 0; message < 16; ++message) read();
  EXPECT_EQ(count(abi::vfio_user_region_read), 1U);
  read();
  EXPECT_EQ(count(abi::vfio_user_region_read), 2U);
}

TEST_F(Latency, what_is_no_access_is_timed_each_time) {
  open_session();
  EXPECT_EQ(count(abi::vfio_user_version), 1U);
  read();
  for (int message = 0; message < 3; ++message) {
    send(test::command(next_id++, abi::vfio_user_device_reset, {}));
    expect_reply();
  }
  EXPECT_EQ(count(abi::vfio_user_device_reset), 3U);
}

TEST_F(Latency, a_message_that_wants_no_reply_is_not_timed_and_the_next_is_in_its_place) {
  open_session();
  for (int message = 0; message < 40; ++message)
    send_write(0, test::Octets(1), abi::vfio_user_flags_no_reply);
  EXPECT_EQ(count(abi::vfio_user_region_write), 0U);
  read();
  EXPECT_EQ(count(abi::vfio_user_region_read), 1U);
}

TEST_F(Latency, an_access_that_completes_later_is_timed_to_its_reply) {
  script->hold_access = true;
  open_session();
  send_read(0, 4);
  world.host.advance(std::chrono::milliseconds(3));
  EXPECT_EQ(count(abi::vfio_user_region_read), 0U);
  script->reads.front().complete_all();
  world.host.run();
  EXPECT_EQ(of(abi::vfio_user_region_read).nanoseconds, 3'000'000U);
}

TEST_F(Latency, what_is_refused_is_timed_too) {
  open_session();
  send_read(0, 4, 99);
  EXPECT_NE(expect_reply().error(), 0);
  EXPECT_EQ(count(abi::vfio_user_region_read), 1U);
}

TEST_F(Latency, the_workers_are_added_up) {
  Counters one;
  Counters other;
  one.latency(abi::vfio_user_region_read).record_alone(std::chrono::microseconds(1));
  other.latency(abi::vfio_user_region_read).record_alone(std::chrono::microseconds(2));
  other.latency(999).record_alone(std::chrono::microseconds(4));
  CounterValues sum;
  sum.add(one);
  sum.add(other);
  EXPECT_EQ(sum.latencies[abi::vfio_user_region_read].count(), 2U);
  EXPECT_EQ(sum.latencies[abi::vfio_user_region_read].nanoseconds, 3000U);
  EXPECT_EQ(sum.latencies[0].count(), 1U);
}

}  // namespace
}  // namespace umdev::vfio_user
