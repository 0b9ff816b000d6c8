#include "umdev/support/byte_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <vector>

namespace umdev {
namespace {

ConstBytes bytes_of_text(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(const ByteQueue& queue) {
  const ConstBytes bytes = queue.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(ByteQueue, what_is_appended_together_lies_one_behind_the_other) {
  ByteQueue queue;
  EXPECT_TRUE(queue.empty());
  queue.append({bytes_of_text("head"), {}, bytes_of_text("body")});
  queue.append({bytes_of_text("!")});
  EXPECT_EQ(text_of(queue), "headbody!");
}

TEST(ByteQueue, what_is_dropped_goes_from_the_front) {
  ByteQueue queue;
  queue.append({bytes_of_text("abcdef")});
  queue.drop(0);
  queue.drop(2);
  EXPECT_EQ(text_of(queue), "cdef");
  queue.drop(4);
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueue, nothing_appended_is_nothing) {
  ByteQueue queue;
  queue.append({});
  queue.append({ConstBytes(), ConstBytes()});
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.capacity(), 0U);
}

TEST(ByteQueue, positions_count_all_that_ever_were_there) {
  ByteQueue queue;
  queue.append({bytes_of_text("abc")});
  queue.drop(3);
  queue.append({bytes_of_text("defg")});
  queue.drop(1);
  EXPECT_EQ(queue.first_position(), 4U);
  EXPECT_EQ(queue.next_position(), 7U);
}

TEST(ByteQueue, much_memory_is_not_kept_for_nothing) {
  ByteQueue queue;
  const std::vector<std::byte> much(1 << 20);
  queue.append({much});
  EXPECT_GE(queue.capacity(), much.size());
  queue.drop(much.size());
  EXPECT_EQ(queue.capacity(), 0U);
}

TEST(ByteQueue, memory_does_not_grow_while_something_always_waits) {
  ByteQueue queue;
  const std::vector<std::byte> message(100);
  queue.append({message});
  for (int i = 0; i < 10'000; ++i) {
    queue.append({message});
    queue.drop(message.size());
  }
  EXPECT_EQ(queue.size(), message.size());
  EXPECT_LE(queue.capacity(), 1000U);
}

// Beside a plain queue of bytes.
TEST(ByteQueue, holds_what_a_plain_queue_holds) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    std::mt19937 random(seed);
    ByteQueue queue;
    std::deque<std::byte> model;
    for (int step = 0; step < 500; ++step) {
      if (random() % 2 == 0) {
        std::vector<std::byte> more(random() % (random() % 50 == 0 ? 20'000 : 40));
        for (std::byte& byte : more) byte = static_cast<std::byte>(random());
        queue.append({ConstBytes(more).first(more.size() / 2), ConstBytes(more).subspan(more.size() / 2)});
        model.insert(model.end(), more.begin(), more.end());
      } else {
        const std::size_t count = random() % (model.size() + 1);
        queue.drop(count);
        model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(count));
      }
      ASSERT_TRUE(std::ranges::equal(queue.bytes(), model)) << "seed " << seed << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace umdev
