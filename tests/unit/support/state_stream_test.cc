#include "umdev/support/state_stream.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "tests/support/outcome.h"
#include "umdev/support/crc32.h"

namespace umdev {
namespace {

using test::error_of;
using Stream = std::vector<std::byte>;

constexpr StreamTag words("word");
constexpr StreamTag extra("xtra");
constexpr std::string_view identity = "a device of two ports";

Stream copy(const StreamWriter& writer) {
  const ConstBytes bytes = writer.bytes().value();
  return {bytes.begin(), bytes.end()};
}

Stream example() {
  StreamWriter writer(identity, 4096);
  writer.begin(words, 2);
  writer.put(std::uint32_t{0x12345678});
  writer.put_flag(true);
  writer.put_text("hello");
  writer.begin(words, 1);
  writer.begin(extra, 1, SectionKind::optional);
  writer.put(std::uint8_t{7});
  writer.finish();
  return copy(writer);
}

TEST(Crc32, is_the_one_of_zlib) {
  EXPECT_EQ(crc32(std::as_bytes(std::span(std::string_view("123456789")))), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
  const auto front = crc32(std::as_bytes(std::span(std::string_view("1234"))));
  EXPECT_EQ(crc32(std::as_bytes(std::span(std::string_view("56789"))), front), 0xcbf43926U);
}

TEST(StateStream, what_was_put_is_what_is_got) {
  const Stream stream = example();
  auto reader = StreamReader::open(stream, identity);
  ASSERT_TRUE(reader);
  auto first = reader->take(words, 2).value();
  EXPECT_EQ(first.version(), 2);
  EXPECT_EQ(first.get<std::uint32_t>().value(), 0x12345678U);
  EXPECT_TRUE(first.get_flag().value());
  EXPECT_EQ(error_of(first.end()), EINVAL) << "something is left";
  EXPECT_EQ(first.get_text().value(), "hello");
  EXPECT_TRUE(first.end());
  EXPECT_EQ(error_of(first.get<std::uint8_t>()), EINVAL);
  EXPECT_TRUE(reader->has(words)) << "there is a second one";
  auto second = reader->take(words, 2).value();
  EXPECT_EQ(second.version(), 1);
  EXPECT_TRUE(second.end());
  EXPECT_FALSE(reader->has(words));
  EXPECT_EQ(error_of(reader->take(words, 2)), EINVAL);
  EXPECT_TRUE(reader->end()) << "what is left may be skipped";
}

TEST(StateStream, an_unknown_mandatory_section_and_a_later_version_are_refused) {
  const Stream stream = example();
  auto reader = StreamReader::open(stream, identity).value();
  EXPECT_EQ(error_of(reader.take(words, 1)), EINVAL);
  EXPECT_TRUE(reader.take(words, 2));
  EXPECT_EQ(error_of(reader.end()), EINVAL);
}

TEST(StateStream, the_state_of_somebody_else_is_refused_with_its_first_wrong_byte) {
  const Stream stream = example();
  EXPECT_EQ(error_of(StreamReader::open(stream, "a device of one port")), EINVAL);
  EXPECT_EQ(error_of(StreamReader::open(stream, "")), EINVAL);
  for (std::size_t size = 0; size <= stream.size(); ++size) {
    const ConstBytes beginning = ConstBytes(stream).first(size);
    EXPECT_TRUE(StreamReader::check_beginning(beginning, identity)) << size;
    // The length of the identity is the first difference: "two" and "four".
    EXPECT_EQ(error_of(StreamReader::check_beginning(beginning, "a device of four ports")),
              size > 8 ? EINVAL : 0)
        << size;
  }
}

TEST(StateStream, a_stream_that_was_cut_at_any_byte_is_refused) {
  const Stream stream = example();
  for (std::size_t size = 0; size < stream.size(); ++size)
    EXPECT_EQ(error_of(StreamReader::open(ConstBytes(stream).first(size), identity)), EINVAL) << size;
}

TEST(StateStream, a_stream_that_goes_on_after_its_end_is_refused) {
  Stream stream = example();
  stream.push_back(std::byte{0});
  EXPECT_EQ(error_of(StreamReader::open(stream, identity)), EINVAL);
  Stream twice = example();
  const Stream again = example();
  twice.insert(twice.end(), again.begin(), again.end());
  EXPECT_EQ(error_of(StreamReader::open(twice, identity)), EINVAL);
}

TEST(StateStream, every_byte_with_every_bit_turned_is_refused) {
  Stream stream = example();
  for (std::byte& byte : stream) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      byte ^= std::byte(1U << bit);
      EXPECT_EQ(error_of(StreamReader::open(stream, identity)), EINVAL) << &byte - stream.data();
      byte ^= std::byte(1U << bit);
    }
  }
}

TEST(StateStream, a_writer_stops_at_its_bound) {
  StreamWriter writer(identity, 64);
  writer.begin(words, 1);
  EXPECT_TRUE(writer.bytes());
  writer.put_bytes(Stream(1000));
  writer.put(std::uint8_t{1});
  writer.finish();
  EXPECT_EQ(error_of(writer.bytes()), E2BIG);
}

TEST(StateStream, a_section_that_is_open_is_not_shown) {
  StreamWriter writer(identity, 4096);
  const std::size_t header = writer.bytes()->size();
  writer.begin(words, 1);
  writer.put(std::uint64_t{1});
  EXPECT_EQ(writer.bytes()->size(), header);
  writer.close();
  EXPECT_GT(writer.bytes()->size(), header);
}

TEST(StateStream, a_length_inside_a_section_that_lies_is_refused) {
  StreamWriter writer(identity, 4096);
  writer.begin(words, 1);
  writer.put(std::uint32_t{100});
  writer.put(std::uint8_t{2});
  writer.finish();
  const Stream stream = copy(writer);
  auto reader = StreamReader::open(stream, identity).value();
  auto section = reader.take(words, 1).value();
  EXPECT_EQ(error_of(section.get_bytes()), EINVAL);
  EXPECT_EQ(error_of(section.get_flag()), EINVAL);
}

TEST(StateStream, random_bytes_behind_a_good_beginning_never_do_harm) {
  rc::check([](const std::vector<std::uint8_t>& noise) {
    Stream stream = example();
    const auto bytes = std::as_bytes(std::span(noise));
    stream.resize(*rc::gen::inRange<std::size_t>(0, stream.size()));
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    const auto reader = StreamReader::open(stream, identity);
    RC_ASSERT(!reader || stream == example());
  });
}

}  // namespace
}  // namespace umdev
