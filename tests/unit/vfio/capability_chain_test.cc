#include "umdev/vfio/capability_chain.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

#include "umdev/abi/vfio.h"

namespace umdev::vfio {
namespace {

std::vector<std::byte> payload_of(std::size_t size, std::uint8_t fill = 0xa5) {
  return std::vector<std::byte>(size, std::byte{fill});
}

abi::VfioInfoCapHeader header_at(ConstBytes bytes, std::size_t offset) {
  const auto header = load_struct<abi::VfioInfoCapHeader>(bytes, offset);
  EXPECT_TRUE(header) << "no header at " << offset;
  return header.value_or(abi::VfioInfoCapHeader{});
}

CapabilityChain chain_of_three() {
  CapabilityChain chain;
  EXPECT_TRUE(chain.add(1, 1, payload_of(24)));  // 32 bytes
  EXPECT_TRUE(chain.add(2, 3, payload_of(5)));   // 13 bytes, padded to 16
  EXPECT_TRUE(chain.add(3, 1, {}));              // a header alone
  return chain;
}

TEST(CapabilityChain, is_empty_at_first) {
  const CapabilityChain chain;
  EXPECT_TRUE(chain.empty());
  EXPECT_EQ(chain.size(), 0U);
  EXPECT_TRUE(chain.shifted(32).empty());
}

TEST(CapabilityChain, C35_three_are_chained_by_offsets_from_the_start_of_the_chain) {
  const CapabilityChain chain = chain_of_three();
  EXPECT_EQ(header_at(chain.bytes(), 0).id, 1);
  EXPECT_EQ(header_at(chain.bytes(), 0).next, 32U);
  EXPECT_EQ(header_at(chain.bytes(), 32).id, 2);
  EXPECT_EQ(header_at(chain.bytes(), 32).version, 3);
  EXPECT_EQ(header_at(chain.bytes(), 32).next, 48U);
  EXPECT_EQ(header_at(chain.bytes(), 48).id, 3);
}

TEST(CapabilityChain, C35_the_last_next_is_zero) {
  const CapabilityChain chain = chain_of_three();
  EXPECT_EQ(header_at(chain.bytes(), 48).next, 0U);
  EXPECT_EQ(header_at(chain.shifted(32), 48).next, 0U);
}

TEST(CapabilityChain, C35_every_capability_is_padded_with_zeros_to_8_bytes) {
  const CapabilityChain chain = chain_of_three();
  EXPECT_EQ(chain.size(), 56U);
  EXPECT_EQ(chain.bytes()[44], std::byte{0xa5});
  for (std::size_t offset = 45; offset < 48; ++offset) EXPECT_EQ(chain.bytes()[offset], std::byte{0});
}

TEST(CapabilityChain, C36_shift_makes_offsets_count_from_the_structure) {
  const std::vector<std::byte> bytes = chain_of_three().shifted(32);
  EXPECT_EQ(bytes.size(), 56U);
  EXPECT_EQ(header_at(bytes, 0).next, 64U);
  EXPECT_EQ(header_at(bytes, 32).next, 80U);
}

TEST(CapabilityChain, C36_shift_leaves_the_chain_itself_alone) {
  const CapabilityChain chain = chain_of_three();
  (void)chain.shifted(32);
  EXPECT_EQ(header_at(chain.bytes(), 0).next, 32U);
}

TEST(CapabilityChain, C36_shift_of_a_single_capability_changes_nothing) {
  CapabilityChain chain;
  ASSERT_TRUE(chain.add(5, 1, payload_of(8)));
  EXPECT_TRUE(std::ranges::equal(chain.shifted(24), chain.bytes()));
}

TEST(CapabilityChain, C35_enomem_empties_the_chain) {
  CapabilityChain chain = chain_of_three();
  EXPECT_EQ(chain.add(4, 1, payload_of(CapabilityChain::size_max)).error().code, ENOMEM);
  EXPECT_TRUE(chain.empty());
  // It can be built anew, with nothing left of the old one.
  ASSERT_TRUE(chain.add(9, 1, payload_of(8)));
  EXPECT_EQ(header_at(chain.bytes(), 0).id, 9);
  EXPECT_EQ(header_at(chain.bytes(), 0).next, 0U);
}

TEST(CapabilityChain, grows_exactly_to_its_limit) {
  CapabilityChain chain;
  ASSERT_TRUE(chain.add(1, 1, payload_of(CapabilityChain::size_max - 16)));
  ASSERT_TRUE(chain.add(2, 1, {}));
  EXPECT_EQ(chain.size(), CapabilityChain::size_max);
  EXPECT_EQ(chain.add(3, 1, {}).error().code, ENOMEM);
}

TEST(CapabilityChain, C35_enomem_where_only_the_padding_does_not_fit) {
  CapabilityChain chain;
  ASSERT_TRUE(chain.add(1, 1, payload_of(CapabilityChain::size_max - 16)));
  EXPECT_EQ(chain.add(2, 1, payload_of(1)).error().code, ENOMEM);
}

// A reader as a client is: it follows `next` from the first capability.
std::vector<std::pair<std::uint16_t, std::size_t>> walk(const std::vector<std::byte>& bytes,
                                                        std::uint32_t base) {
  std::vector<std::pair<std::uint16_t, std::size_t>> found;
  for (std::uint32_t offset = base;;) {
    const auto header = header_at(bytes, offset - base);
    found.emplace_back(header.id, offset);
    if (header.next == 0) return found;
    RC_ASSERT(header.next > offset);
    RC_ASSERT(header.next % 8 == base % 8);
    offset = header.next;
  }
}

RC_GTEST_PROP(CapabilityChainProperty, C35_a_client_that_follows_next_finds_what_was_added_in_its_order,
              (const std::vector<std::uint8_t>& sizes)) {
  RC_PRE(!sizes.empty());
  CapabilityChain chain;
  std::vector<std::pair<std::uint16_t, std::size_t>> model;
  constexpr std::uint32_t base = 24;
  std::size_t offset = base;
  for (std::size_t index = 0; index < sizes.size(); ++index) {
    RC_ASSERT(static_cast<bool>(chain.add(static_cast<std::uint16_t>(index), 1, payload_of(sizes[index]))));
    model.emplace_back(static_cast<std::uint16_t>(index), offset);
    offset += 8 + (sizes[index] + 7U) / 8 * 8;
  }
  RC_ASSERT(chain.size() == offset - base);
  RC_ASSERT(walk(chain.shifted(base), base) == model);
}

}  // namespace
}  // namespace umdev::vfio
