// The threads that serve a connection, on requests of a test's own.
#include "umdev/fuse/readers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <string>

#include "umdev/support/mutex.h"

namespace umdev::fuse {
namespace {

// Gives out one request after another; a close hangs until the test lets it go on.
class Requests final : public RequestSource {
 public:
  void add(char kind) {
    Lock lock(mutex_);
    waiting_.push_back(kind);
    changed_.notify_all();
  }
  void let_close() {
    Lock lock(mutex_);
    may_close_ = true;
    changed_.notify_all();
  }
  void end() {
    Lock lock(mutex_);
    ended_ = may_close_ = true;
    changed_.notify_all();
  }
  // Waits until these have been received, or processed; in which order the latter were.
  void wait_for_received(std::size_t count) {
    Lock lock(mutex_);
    while (received_ < count) changed_.wait(mutex_);
  }
  std::string wait_for_processed(std::size_t count) {
    Lock lock(mutex_);
    while (processed_.size() < count) changed_.wait(mutex_);
    return processed_;
  }

  // ^RequestSource
  bool receive(fuse_buf& buffer) override {
    Lock lock(mutex_);
    while (waiting_.empty() && !ended_) changed_.wait(mutex_);
    if (ended_) return false;
    buffer.size = 1;
    buffer.pos = static_cast<unsigned char>(waiting_.front());  // the kind is all that there is of it
    waiting_.pop_front();
    ++received_;
    changed_.notify_all();
    if (closes(buffer)) pass(after_close_);
    return true;
  }
  void wake(std::thread&) override {}
  void process(const fuse_buf& buffer) override {
    Lock lock(mutex_);
    while (closes(buffer) && !may_close_) changed_.wait(mutex_);
    if (buffer.pos == 's') pass(slow_);
    processed_ += static_cast<char>(buffer.pos);
    changed_.notify_all();
  }
  bool closes(const fuse_buf& buffer) const override { return buffer.pos == 'c'; }
  bool awaits_closes(const fuse_buf& buffer) const override { return buffer.pos == 'o'; }

  // How long a slow request takes, and how long whoever has received a close is without a processor.
  void take_long(std::chrono::microseconds slow, std::chrono::microseconds after_close) {
    Lock lock(mutex_);
    slow_ = slow;
    after_close_ = after_close;
  }

 private:
  void pass(std::chrono::microseconds time) UMDEV_REQUIRES(mutex_) {
    const auto end = std::chrono::steady_clock::now() + time;
    for (auto now = end - time; now < end; now = std::chrono::steady_clock::now())
      changed_.wait_for(mutex_, end - now);
  }

  Mutex mutex_;
  Condition changed_;
  std::chrono::microseconds slow_ UMDEV_GUARDED_BY(mutex_){0};
  std::chrono::microseconds after_close_ UMDEV_GUARDED_BY(mutex_){0};
  std::deque<char> waiting_ UMDEV_GUARDED_BY(mutex_);
  std::string processed_ UMDEV_GUARDED_BY(mutex_);
  std::size_t received_ UMDEV_GUARDED_BY(mutex_) = 0;
  bool may_close_ UMDEV_GUARDED_BY(mutex_) = false;
  bool ended_ UMDEV_GUARDED_BY(mutex_) = false;
};

TEST(Readers, serve_in_order_while_nothing_hangs) {
  Requests requests;
  requests.let_close();
  auto readers = Readers::start(requests, "test", 4).value();
  const std::string kinds = "xcoxocx";
  for (const char kind : kinds) requests.add(kind);
  EXPECT_EQ(requests.wait_for_processed(kinds.size()), kinds);
  requests.end();
}

TEST(Readers, another_goes_on_while_one_hangs) {
  Requests requests;
  auto readers = Readers::start(requests, "test", 4).value();
  requests.add('c');
  requests.add('x');
  EXPECT_EQ(requests.wait_for_processed(1), "x");
  requests.let_close();
  EXPECT_EQ(requests.wait_for_processed(2), "xc");
  requests.end();
}

TEST(Readers, who_opens_comes_after_a_close_that_is_late) {
  Requests requests;
  auto readers = Readers::start(requests, "test", 4, std::chrono::hours(1)).value();
  requests.add('c');
  requests.add('o');
  requests.wait_for_received(2);
  requests.add('x');
  EXPECT_EQ(requests.wait_for_processed(1), "x") << "a third reader, while the second waits";
  requests.let_close();
  EXPECT_EQ(requests.wait_for_processed(3), "xco");
  requests.end();
}

// Requests that end just when another reader is to take over.
TEST(Readers, who_opens_comes_after_a_close_however_readers_change) {
  constexpr int rounds = 40;
  Requests requests;
  requests.let_close();
  auto readers = Readers::start(requests, "test", 4, std::chrono::hours(1)).value();
  std::string kinds;
  for (int round = 0; round != rounds; ++round) {
    requests.take_long(Readers::patience + std::chrono::microseconds(500 * round),
                       std::chrono::milliseconds(1));
    for (const char kind : {'s', 'c', 'o'}) requests.add(kind);
    const std::string processed = requests.wait_for_processed(kinds.size() + 3);
    const std::string last = processed.substr(kinds.size());
    EXPECT_LT(last.find('c'), last.find('o')) << "round " << round << ": " << last;
    kinds = processed;
  }
  requests.end();
}

TEST(Readers, who_opens_does_not_wait_for_ever) {
  Requests requests;
  auto readers = Readers::start(requests, "test", 4, std::chrono::milliseconds(10)).value();
  requests.add('c');
  requests.add('o');
  EXPECT_EQ(requests.wait_for_processed(1), "o");
  requests.end();
}

}  // namespace
}  // namespace umdev::fuse
