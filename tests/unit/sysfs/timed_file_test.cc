#include "umdev/sysfs/timed_file.h"

#include <gtest/gtest.h>

#include "tests/support/test_host.h"

namespace umdev::sysfs {
namespace {

// Answers when the test says so.
class SlowFile final : public fuse::File {
 public:
  void read(const fuse::Caller&, std::uint64_t, std::size_t, Done<std::string> done) override {
    reading = std::move(done);
  }
  void write(const fuse::Caller&, std::uint64_t, ConstBytes from, Done<std::size_t> done) override {
    writing = std::move(done);
    written = from.size();
  }
  Done<std::string> reading;
  Done<std::size_t> writing;
  std::size_t written = 0;
};

class TimedFileTest : public testing::Test {
 public:
  test::TestHost host;
  Statistics statistics;
  std::shared_ptr<SlowFile> slow = std::make_shared<SlowFile>();
  TimedFile file{slow, statistics, host.clock()};
};

TEST_F(TimedFileTest, A_read_is_timed_to_its_answer_and_passed_on) {
  std::string answer;
  file.read({}, 0, 10, [&answer](Result<std::string> text) { answer = *text; });
  host.advance(std::chrono::milliseconds(2));
  EXPECT_EQ(statistics.reads.values().count(), 0U);
  slow->reading("text");
  EXPECT_EQ(answer, "text");
  EXPECT_EQ(statistics.reads.values().nanoseconds, 2'000'000U);
  EXPECT_EQ(statistics.writes.values().count(), 0U);
}

TEST_F(TimedFileTest, A_write_that_fails_is_timed_and_counted_by_its_errno) {
  int code = 0;
  const std::byte byte{};
  file.write({}, 0, ConstBytes(&byte, 1),
             [&code](Result<std::size_t> result) { code = result.error().code; });
  host.advance(std::chrono::seconds(1));
  slow->writing(fail(ENODEV, "gone"));
  EXPECT_EQ(code, ENODEV);
  EXPECT_EQ(slow->written, 1U);
  EXPECT_EQ(statistics.writes.values().nanoseconds, 1'000'000'000U);
  EXPECT_EQ(statistics.errors.value(ENODEV), 1U);
}

TEST_F(TimedFileTest, What_is_never_answered_is_answered_with_ecanceled) {
  int code = 0;
  file.read({}, 0, 1, [&code](Result<std::string> text) { code = text.error().code; });
  slow->reading = {};
  EXPECT_EQ(code, ECANCELED);
  EXPECT_EQ(statistics.errors.value(ECANCELED), 1U);
}

}  // namespace
}  // namespace umdev::sysfs
