#include "umdev/vfio_user/version.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "tests/unit/vfio_user/wire.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;
using test::version_payload;

// What QEMU 11.1 sends.
constexpr std::string_view qemu_text =
    R"({"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, )"
    R"("max_data_xfer_size": 1048576, "migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, )"
    R"("write_multiple": true}})";

int code_of(ConstBytes payload) {
  const auto message = decode_version(payload, Limits{});
  return message ? 0 : message.error().code;
}

TEST(Version, what_qemu_sends_is_understood) {
  const auto message = decode_version(version_payload(qemu_text), Limits{});
  ASSERT_TRUE(message);
  EXPECT_EQ(message->capabilities.max_msg_fds, 16u);
  EXPECT_EQ(message->capabilities.max_data_xfer_size, 1U << 20);
  EXPECT_TRUE(message->capabilities.write_multiple);
}

TEST(Version, without_text_the_defaults_hold) {
  for (const char* text : {"", "{}", R"({"capabilities":{}})", R"({"other":1})"}) {
    const auto message = decode_version(version_payload(text), Limits{});
    ASSERT_TRUE(message) << text;
    EXPECT_EQ(message->capabilities.max_msg_fds, 1u);
    EXPECT_EQ(message->capabilities.max_data_xfer_size, 1U << 20);
    EXPECT_EQ(message->capabilities.pgsizes, 4096u);
  }
}

TEST(Version, bad_texts_are_einval) {
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  const std::string cases[] = {
      "[]",
      "1",
      "null",
      "{",
      "{} {}",
      "{}x",
      "\xff\xfe",
      R"({"capabilities":[]})",
      R"({"capabilities":{"max_msg_fds":"8"}})",
      R"({"capabilities":{"max_msg_fds":-1}})",
      R"({"capabilities":{"max_msg_fds":1.5}})",
      R"({"capabilities":{"max_data_xfer_size":0}})",
      R"({"capabilities":{"max_data_xfer_size":true}})",
      R"({"capabilities":{"max_dma_maps":{}}})",
      R"({"capabilities":{"pgsizes":"4096"}})",
      R"({"capabilities":{"write_multiple":1}})",
      R"({"capabilities":{"twin_socket":true}})",
      R"({"capabilities":{"twin_socket":{"supported":1}}})",
      R"({"capabilities":{"twin_socket":{"fd_index":"0"}}})",
      R"({"capabilities":{"migration":4096}})",
      R"({"capabilities":{"migration":{"pgsize":"4096"}}})",
      R"({"capabilities":{"migration":{"pgsize":0}}})",
      R"({"capabilities":{"migration":{"pgsize":4097}}})",
      R"({"capabilities":{"migration":{"max_bitmap_size":-1}}})",
      R"({"x":)" + deep + "}",
      deep,
  };
  for (const std::string& text : cases)
    EXPECT_EQ(code_of(version_payload(text)), EINVAL) << text.substr(0, 60);
}

TEST(Version, the_text_ends_with_its_zero_and_has_no_other) {
  Octets payload = version_payload("{}");
  payload.pop_back();
  EXPECT_EQ(code_of(payload), EINVAL);
  payload.push_back(std::byte{0});
  payload.push_back(std::byte{0});
  EXPECT_EQ(code_of(payload), EINVAL);
}

TEST(Version, a_text_beyond_the_limit_is_einval) {
  const std::string text = R"({"x":")" + std::string(Limits{}.version_text, 'a') + R"("})";
  EXPECT_EQ(code_of(version_payload(text)), EINVAL);
}

TEST(Version, a_short_payload_is_einval) {
  for (std::size_t size = 0; size < 4; ++size) EXPECT_EQ(code_of(Octets(size)), EINVAL);
}

TEST(Version, numbers_beyond_what_is_understood_are_cut) {
  const auto message =
      decode_version(version_payload(R"({"capabilities":{"max_msg_fds":18446744073709551615}})"), Limits{});
  ASSERT_TRUE(message);
  EXPECT_EQ(message->capabilities.max_msg_fds, UINT32_MAX);
}

// QEMU refuses a minor above 0, max_msg_fds above 16, max_dma_maps above 65535, pgsizes below 4096.
TEST(Version, the_answer_is_what_qemu_takes) {
  const auto proposed = decode_version(version_payload(qemu_text, 0, 7), Limits{});
  ASSERT_TRUE(proposed);
  const auto answer = answer_version(*proposed, Limits{});
  ASSERT_TRUE(answer);
  const Octets payload = encode_version(*answer);
  EXPECT_EQ(payload.back(), std::byte{0});
  const auto read = decode_version(payload, Limits{});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->major, 0);
  EXPECT_EQ(read->minor, 0);
  EXPECT_LE(read->capabilities.max_msg_fds, 16u);
  EXPECT_EQ(read->capabilities.max_data_xfer_size, 1U << 20);
  EXPECT_LE(read->capabilities.max_dma_maps, 65535u);
  EXPECT_EQ(read->capabilities.pgsizes % 4096, 0u);
  const std::string_view text(reinterpret_cast<const char*>(payload.data()) + 4, payload.size() - 5);
  EXPECT_NE(text.find("\"write_multiple\":true"), std::string_view::npos);
  EXPECT_EQ(text.find("twin_socket"), std::string_view::npos);
}

Capabilities agreed(std::string_view text) {
  const auto answer = answer_version(decode_version(version_payload(text), Limits{}).value(), Limits{});
  EXPECT_TRUE(answer) << text;
  return answer.value_or(VersionMessage{}).capabilities;
}

TEST(Version, what_both_sides_limit_is_the_lower_of_both) {
  const Capabilities low = agreed(
      R"({"capabilities":{"max_data_xfer_size":64,"max_dma_maps":3,"pgsizes":69632,"max_msg_fds":2}})");
  EXPECT_EQ(low.max_data_xfer_size, 64u);
  EXPECT_EQ(low.max_dma_maps, 3u);
  EXPECT_EQ(low.pgsizes, 69632u);
  EXPECT_EQ(low.max_msg_fds, Limits{}.fds_per_message);
  const Capabilities high =
      agreed(R"({"capabilities":{"max_data_xfer_size":999999999,"max_dma_maps":999999999,"pgsizes":4607}})");
  EXPECT_EQ(high.max_data_xfer_size, Limits{}.data_transfer);
  EXPECT_EQ(high.max_dma_maps, Limits{}.dma_maps);
  EXPECT_EQ(high.pgsizes, 4096u);
}

TEST(Version, nothing_is_answered_that_the_client_did_not_say) {
  const Capabilities answer = agreed("{}");
  EXPECT_FALSE(answer.write_multiple);
  EXPECT_FALSE(answer.twin_socket);
  EXPECT_FALSE(answer.migration);
  EXPECT_FALSE(agreed(R"({"capabilities":{"write_multiple":false}})").write_multiple);
}

TEST(Version, bitmaps_are_of_the_clients_pages_and_bounded) {
  const Capabilities answer =
      agreed(R"({"capabilities":{"migration":{"pgsize":65536,"max_bitmap_size":268435456}}})");
  EXPECT_TRUE(answer.migration);
  EXPECT_EQ(answer.migration_pgsize, 65536u);
  EXPECT_EQ(answer.max_bitmap_size, Limits{}.bitmap);
  EXPECT_EQ(agreed(R"({"capabilities":{"migration":{"max_bitmap_size":8}}})").max_bitmap_size, 8u);
}

TEST(Version, a_client_that_maps_only_small_pages_is_einval) {
  const auto proposed = decode_version(version_payload(R"({"capabilities":{"pgsizes":2048}})"), Limits{});
  EXPECT_EQ(answer_version(proposed.value(), Limits{}).error().code, EINVAL);
}

TEST(Version, all_capabilities_survive_the_way) {
  const VersionMessage message{.capabilities = {.max_msg_fds = 3,
                                                .max_data_xfer_size = 4,
                                                .max_dma_maps = 5,
                                                .pgsizes = 8192,
                                                .write_multiple = true,
                                                .twin_socket = true,
                                                .twin_fd_index = 2,
                                                .migration = true,
                                                .migration_pgsize = 65536,
                                                .max_bitmap_size = 77}};
  const auto read = decode_version(encode_version(message, /*is_reply=*/true), Limits{});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->capabilities, message.capabilities);
  EXPECT_EQ(decode_version(encode_version(message), Limits{})->capabilities.twin_fd_index, 0u);
}

TEST(Version, another_major_is_einval) {
  EXPECT_EQ(answer_version(VersionMessage{.major = 1}, Limits{}).error().code, EINVAL);
}

RC_GTEST_PROP(VersionProperty, any_text_is_decoded_or_refused, (const std::string& text)) {
  const auto message = decode_version(version_payload(text), Limits{});
  const bool decoded_or_refused = message.has_value() || message.error().code == EINVAL;
  RC_ASSERT(decoded_or_refused);
}

}  // namespace
}  // namespace umdev::vfio_user
