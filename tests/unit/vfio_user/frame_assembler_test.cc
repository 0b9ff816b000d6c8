#include "umdev/vfio_user/frame_assembler.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "tests/unit/vfio_user/wire.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;

constexpr std::size_t max_message = 4096;

os::UniqueFd some_fd() {
  return os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

// What a receiver keeps of a message.
struct Seen {
  std::uint16_t id = 0;
  Octets payload;
  std::size_t fds = 0;
  bool lost = false;
  friend bool operator==(const Seen&, const Seen&) = default;
};

// Feeds an assembler as a connection does.
class Feeder {
 public:
  explicit Feeder(std::size_t buffer = 64) : assembler(max_message, buffer) {}

  // One receive after another until all of `bytes` is in; `fds` come with the first byte.
  void feed(ConstBytes bytes, std::size_t fds = 0) {
    for (std::size_t i = 0; i < fds; ++i) assembler.incoming_fds().push(some_fd());
    while (!bytes.empty() && !broken) {
      const Bytes space = assembler.space();
      const std::size_t count = std::min(space.size(), bytes.size());
      std::copy_n(bytes.begin(), count, space.begin());
      assembler.commit(count);
      bytes = bytes.subspan(count);
      drain();
    }
  }

  FrameAssembler assembler;
  std::vector<Seen> seen;
  int broken = 0;

 private:
  void drain() {
    for (;;) {
      auto next = assembler.next();
      if (!next) {
        broken = next.error().code;
        return;
      }
      if (!*next) return;
      const Frame& frame = **next;
      seen.push_back({.id = frame.header.message_id,
                      .payload = Octets(frame.payload.begin(), frame.payload.end()),
                      .fds = frame.fds->size(),
                      .lost = frame.fds->lost()});
    }
  }
};

Octets message(std::uint16_t id, std::size_t payload) {
  return test::command(id, abi::vfio_user_region_read, {Octets(payload, std::byte(id))});
}

TEST(FrameAssembler, single_bytes_become_a_message) {
  Feeder feeder;
  const Octets bytes = message(7, 10);
  for (const std::byte& byte : bytes) {
    EXPECT_TRUE(feeder.seen.empty());
    feeder.feed({&byte, 1});
  }
  ASSERT_EQ(feeder.seen.size(), 1u);
  EXPECT_EQ(feeder.seen[0], (Seen{.id = 7, .payload = Octets(10, std::byte{7})}));
  EXPECT_FALSE(feeder.assembler.inside_message());
}

TEST(FrameAssembler, one_piece_holds_several_messages) {
  Feeder feeder(4096);
  feeder.feed(test::join({message(1, 0), message(2, 30), message(3, 5)}));
  ASSERT_EQ(feeder.seen.size(), 3u);
  EXPECT_EQ(feeder.seen[2].payload.size(), 5u);
}

TEST(FrameAssembler, sizes_that_cannot_be_are_a_broken_frame) {
  const struct {
    std::uint32_t size;
    int code;
  } cases[] = {{0, EBADMSG},     {1, EBADMSG},           {15, EBADMSG},
               {4097, EMSGSIZE}, {UINT32_MAX, EMSGSIZE}, {0x80000000, EMSGSIZE}};
  for (const auto& [size, code] : cases) {
    Feeder feeder;
    abi::VfioUserHeader header = make_command(1, abi::vfio_user_region_read, 0);
    header.size = size;
    feeder.feed(bytes_of(header));
    EXPECT_EQ(feeder.broken, code) << size;
    EXPECT_TRUE(feeder.seen.empty());
  }
}

TEST(FrameAssembler, the_largest_message_passes) {
  Feeder feeder;
  feeder.feed(message(1, max_message - sizeof(abi::VfioUserHeader)));
  ASSERT_EQ(feeder.seen.size(), 1u);
  EXPECT_EQ(feeder.seen[0].payload.size(), max_message - sizeof(abi::VfioUserHeader));
}

TEST(FrameAssembler, messages_before_a_broken_frame_are_seen) {
  Feeder feeder(4096);
  abi::VfioUserHeader bad = make_command(9, abi::vfio_user_region_read, 0);
  bad.size = 3;
  feeder.feed(test::join({message(1, 4), bytes_of(bad)}));
  EXPECT_EQ(feeder.seen.size(), 1u);
  EXPECT_EQ(feeder.broken, EBADMSG);
  EXPECT_EQ(feeder.assembler.next().error().code, EBADMSG);
}

TEST(FrameAssembler, a_promise_of_much_allocates_nothing) {
  FrameAssembler assembler(1U << 20, 64);
  abi::VfioUserHeader header = make_command(1, abi::vfio_user_region_write, 0);
  header.size = 1U << 20;
  std::ranges::copy(bytes_of(header), assembler.space().begin());
  assembler.commit(sizeof header);
  EXPECT_EQ(*assembler.next(), nullptr);
  EXPECT_FALSE(assembler.space().empty());
  EXPECT_EQ(assembler.capacity(), 64u);
}

TEST(FrameAssembler, the_buffer_shrinks_after_a_large_message) {
  Feeder feeder;
  feeder.feed(message(1, 2000));
  EXPECT_GT(feeder.assembler.capacity(), 64u);
  feeder.feed(message(2, 0));
  EXPECT_EQ(feeder.assembler.capacity(), 64u);
}

TEST(FrameAssembler, descriptors_belong_to_the_message_that_begins_with_them) {
  Feeder feeder(4096);
  feeder.feed(message(1, 40), 2);
  feeder.feed(message(2, 40));
  feeder.feed(message(3, 40), 1);
  ASSERT_EQ(feeder.seen.size(), 3u);
  EXPECT_EQ(feeder.seen[0].fds, 2u);
  EXPECT_EQ(feeder.seen[1].fds, 0u);
  EXPECT_EQ(feeder.seen[2].fds, 1u);
}

// The kernel glues what was sent without descriptors to what comes next with some.
TEST(FrameAssembler, descriptors_of_a_glued_piece_belong_to_its_last_message) {
  Feeder feeder(4096);
  feeder.feed(test::join({message(1, 8), message(2, 8), message(3, 8)}), 1);
  ASSERT_EQ(feeder.seen.size(), 3u);
  EXPECT_EQ(feeder.seen[0].fds + feeder.seen[1].fds, 0u);
  EXPECT_EQ(feeder.seen[2].fds, 1u);
}

TEST(FrameAssembler, two_messages_under_way_keep_their_descriptors) {
  Feeder feeder(4096);
  const Octets first = message(1, 40);
  const Octets second = message(2, 40);
  feeder.feed(ConstBytes(first).first(5), 1);
  feeder.feed(test::join({ConstBytes(first).subspan(5), ConstBytes(second).first(3)}), 2);
  feeder.feed(ConstBytes(second).subspan(3));
  ASSERT_EQ(feeder.seen.size(), 2u);
  EXPECT_EQ(feeder.seen[0].fds, 1u);
  EXPECT_EQ(feeder.seen[1].fds, 2u);
}

TEST(FrameAssembler, descriptors_inside_a_message_belong_to_nobody) {
  Feeder feeder;
  const Octets bytes = message(1, 40);
  feeder.feed(ConstBytes(bytes).first(20), 1);
  feeder.assembler.incoming_fds().push(some_fd());
  const int stray = feeder.assembler.incoming_fds().get(0);
  feeder.feed(ConstBytes(bytes).subspan(20));
  ASSERT_EQ(feeder.seen.size(), 1u);
  EXPECT_TRUE(feeder.seen[0].lost);
  EXPECT_FALSE(is_open(stray));
}

TEST(FrameAssembler, descriptors_that_nobody_takes_are_closed) {
  FrameAssembler assembler(max_message, 64);
  const Octets bytes = message(1, 0);
  assembler.incoming_fds().push(some_fd());
  const int fd = assembler.incoming_fds().get(0);
  std::ranges::copy(bytes, assembler.space().begin());
  assembler.commit(bytes.size());
  ASSERT_NE(*assembler.next(), nullptr);
  EXPECT_TRUE(is_open(fd));
  EXPECT_EQ(*assembler.next(), nullptr);
  EXPECT_FALSE(is_open(fd));
}

RC_GTEST_PROP(FrameAssemblerProperty, any_split_of_a_stream_gives_the_same_messages, ()) {
  const auto sizes =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 300)));
  Octets stream;
  std::vector<Seen> expected;
  std::vector<std::size_t> with_fds;  // where messages with descriptors begin: a piece ends before each
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto id = static_cast<std::uint16_t>(i);
    const Octets bytes = message(id, sizes[i]);
    const bool has_fds = *rc::gen::inRange(0, 4) == 0;
    if (has_fds) with_fds.push_back(stream.size());
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    expected.push_back({.id = id, .payload = Octets(sizes[i], std::byte(id)), .fds = has_fds ? 1u : 0u});
  }
  Feeder feeder(*rc::gen::inRange<std::size_t>(16, 600));
  for (std::size_t at = 0; at < stream.size();) {
    std::size_t end = std::min(stream.size(), at + *rc::gen::inRange<std::size_t>(1, 400));
    for (const std::size_t begin : with_fds)
      if (begin > at && begin < end) end = begin;
    const bool begins_with_fds = std::ranges::find(with_fds, at) != with_fds.end();
    // Only the message that begins here may begin in a piece with descriptors.
    if (begins_with_fds) end = at + std::min<std::size_t>(end - at, sizeof(abi::VfioUserHeader));
    feeder.feed(ConstBytes(stream).subspan(at, end - at), begins_with_fds ? 1 : 0);
    at = end;
  }
  RC_ASSERT(feeder.broken == 0);
  RC_ASSERT(feeder.seen == expected);
  RC_ASSERT(!feeder.assembler.inside_message());
}

// --- To another place.

TEST(FrameAssembler, what_waits_is_the_same_elsewhere_with_descriptors_in_order) {
  Feeder here;
  const auto put = [&](ConstBytes bytes, std::size_t fds) {
    for (std::size_t i = 0; i < fds; ++i) here.assembler.incoming_fds().push(some_fd());
    std::ranges::copy(bytes, here.assembler.space().begin());
    here.assembler.commit(bytes.size());
  };
  const Octets whole = message(2, 8);
  put(message(1, 0), 3);
  put(ConstBytes(whole).first(20), 1);
  ASSERT_EQ((*here.assembler.next())->fds->size(), 3U);
  ASSERT_EQ(*here.assembler.next(), nullptr);
  // In the place of the first message's, which is free again.
  put(test::join({ConstBytes(whole).subspan(20), message(3, 4)}), 2);
  auto copy = here.assembler.copy();
  ASSERT_TRUE(copy);
  Feeder there;
  ASSERT_TRUE(there.assembler.restore(*std::move(copy)));
  for (Feeder* const place : {&there, &here}) {
    place->feed(message(4, 1));
    ASSERT_EQ(place->seen.size(), 3U);
    EXPECT_EQ(place->seen[0], (Seen{.id = 2, .payload = Octets(8, std::byte{2}), .fds = 1}));
    EXPECT_EQ(place->seen[1], (Seen{.id = 3, .payload = Octets(4, std::byte{3}), .fds = 2}));
    EXPECT_EQ(place->seen[2], (Seen{.id = 4, .payload = Octets(1, std::byte{4})}));
  }
}

}  // namespace
}  // namespace umdev::vfio_user
