// The MSI-X table and its pending bits: as the specification has them, but for who enables.
#include "umdev/pci/msix.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "tests/support/outcome.h"

namespace umdev::pci {
namespace {

using test::error_of;
using Where = MsixPiece::Where;

constexpr std::uint32_t control_of(std::uint32_t vector) {
  return vector * abi::pci_msix_entry_size + abi::pci_msix_entry_vector_ctrl;
}

void mask(MsixTable& table, std::uint32_t vector, bool masked) {
  table.write_table(control_of(vector), bytes_of(std::uint32_t{masked}));
}

template <std::unsigned_integral T>
T table_at(const MsixTable& table, std::uint64_t offset) {
  T value = 0;
  table.read_table(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t pending(const MsixTable& table, std::uint64_t word = 0) {
  std::uint64_t bits = 0;
  table.read_pending(word * sizeof bits, std::as_writable_bytes(std::span(&bits, 1)));
  return bits;
}

TEST(MsixTable, reads_as_masked_until_vectors_are_set_up) {
  MsixTable table(2);
  EXPECT_EQ(table_at<std::uint64_t>(table, 0), 0U);
  EXPECT_EQ(table_at<std::uint32_t>(table, control_of(1)), 1U);
  EXPECT_EQ(table_at<std::uint8_t>(table, control_of(1)), 1U);
  EXPECT_EQ(table_at<std::uint8_t>(table, control_of(1) + 1), 0U);
  table.set_enabled(true);
  EXPECT_EQ(table_at<std::uint32_t>(table, control_of(1)), 0U);
}

TEST(MsixTable, keeps_what_is_written_but_for_reserved_bits) {
  MsixTable table(2);
  table.set_enabled(true);
  const std::uint32_t entry[] = {0xfee0100f, 0x12345678, 0xabcdef01, 0xffffffff};
  table.write_table(16, std::as_bytes(std::span(entry)));
  EXPECT_EQ(table_at<std::uint32_t>(table, 16), 0xfee0100cU);
  EXPECT_EQ(table_at<std::uint32_t>(table, 20), 0x12345678U);
  EXPECT_EQ(table_at<std::uint32_t>(table, 24), 0xabcdef01U);
  EXPECT_EQ(table_at<std::uint32_t>(table, 28), 1U);
  EXPECT_EQ(table_at<std::uint64_t>(table, 0), 0U) << "the other vector";
}

TEST(MsixTable, a_vector_that_nobody_masked_may_send) {
  MsixTable table(65);
  table.set_enabled(true);
  EXPECT_TRUE(table.may_send(0));
  EXPECT_TRUE(table.may_send(64));
  EXPECT_FALSE(table.may_send(65));
  EXPECT_FALSE(table.may_send(~0U));
  EXPECT_EQ(pending(table), 0U);
  EXPECT_EQ(pending(table, 1), 0U);
}

TEST(MsixTable, a_masked_vector_is_pending_and_sends_once_at_unmask) {
  MsixTable table(3);
  table.set_enabled(true);
  mask(table, 2, true);
  EXPECT_FALSE(table.may_send(2));
  EXPECT_FALSE(table.may_send(2));
  EXPECT_TRUE(table.may_send(1)) << "the others go on";
  EXPECT_EQ(pending(table), 4U);
  EXPECT_EQ(table.take_sendable(), std::nullopt);
  mask(table, 2, false);
  EXPECT_EQ(table.take_sendable(), 2U);
  EXPECT_EQ(table.take_sendable(), std::nullopt);
  EXPECT_EQ(pending(table), 0U);
}

TEST(MsixTable, the_function_mask_holds_back_every_vector) {
  MsixTable table(70);
  table.set_enabled(true);
  table.set_function_mask(true);
  mask(table, 3, true);
  for (const std::uint32_t vector : {0U, 3U, 69U}) EXPECT_FALSE(table.may_send(vector));
  EXPECT_EQ(pending(table, 1), 1U << 5);
  EXPECT_EQ(table.take_sendable(), std::nullopt);
  table.set_function_mask(false);
  EXPECT_EQ(table.take_sendable(), 0U);
  EXPECT_EQ(table.take_sendable(), 69U);
  EXPECT_EQ(table.take_sendable(), std::nullopt) << "3 is still masked on its own";
}

TEST(MsixTable, disabling_and_reset_forget_what_is_pending) {
  MsixTable table(1);
  table.set_enabled(true);
  for (const bool resets : {false, true}) {
    mask(table, 0, true);
    EXPECT_FALSE(table.may_send(0));
    if (resets)
      table.reset();
    else
      table.set_enabled(false);
    EXPECT_EQ(pending(table), 0U);
    mask(table, 0, false);
    EXPECT_EQ(table.take_sendable(), std::nullopt);
    table.set_enabled(true);
  }
}

TEST(MsixTable, moves_with_masks_and_what_is_pending) {
  MsixTable table(65);
  table.set_enabled(true);
  mask(table, 64, true);
  EXPECT_FALSE(table.may_send(64));
  const auto saved = table.save();
  MsixTable other(65);
  other.set_enabled(true);
  ASSERT_TRUE(other.load(saved));
  EXPECT_EQ(other.save(), saved);
  mask(other, 64, false);
  EXPECT_EQ(other.take_sendable(), 64U);
}

TEST(MsixTable, bytes_that_are_no_state_of_it_change_nothing) {
  MsixTable table(65);
  const auto before = table.save();
  auto saved = before;
  saved.back() = std::byte{0x80};
  EXPECT_EQ(error_of(table.load(saved)), EINVAL) << "vector 127 is pending";
  EXPECT_EQ(error_of(table.load(ConstBytes(before).first(before.size() - 1))), EINVAL);
  EXPECT_EQ(error_of(table.load({})), EINVAL);
  EXPECT_EQ(table.save(), before);
}

TEST(MsixPieces, a_bar_is_cut_where_a_structure_begins_or_ends) {
  const MsixCapability msix{
      .vectors = 3, .table_bar = 1, .table_offset = 0x100, .pba_bar = 1, .pba_offset = 0x200};
  const struct {
    std::uint32_t bar;
    std::uint64_t offset, size;
    Where where;
    std::uint64_t in, first;
  } rows[] = {
      {0, 0x100, 8, Where::device, 0x100, 8},   {1, 0, 0x1000, Where::device, 0, 0x100},
      {1, 0x100, 4, Where::table, 0, 4},        {1, 0x12c, 8, Where::table, 0x2c, 4},
      {1, 0x130, 8, Where::device, 0x130, 8},   {1, 0x1fc, 8, Where::device, 0x1fc, 4},
      {1, 0x200, 8, Where::pending_bits, 0, 8}, {1, 0x207, 8, Where::pending_bits, 7, 1},
      {1, 0x208, 64, Where::device, 0x208, 64},
  };
  for (const auto& row : rows) {
    const MsixPiece piece = first_piece(msix, row.bar, row.offset, row.size);
    EXPECT_EQ(piece.where, row.where) << row.bar << " " << row.offset;
    EXPECT_EQ(piece.offset, row.in) << row.offset;
    EXPECT_EQ(piece.size, row.first) << row.offset;
  }
  const MsixPiece all = first_piece({.vectors = 0}, 0, 0, 4096);
  EXPECT_EQ(all.where, Where::device);
  EXPECT_EQ(all.size, 4096U);
}

// A set of masked vectors, a set of pending ones: the specification in two lines.
TEST(MsixTable, does_as_a_plain_model_says) {
  rc::check([] {
    const auto vectors = *rc::gen::inRange(1U, 130U);
    MsixTable table(vectors);
    table.set_enabled(true);
    std::set<std::uint32_t> masked, waiting;
    bool all_masked = false;
    const auto drain = [&] {
      while (const auto vector = table.take_sendable()) {
        RC_ASSERT(!all_masked && !masked.contains(*vector));
        RC_ASSERT(waiting.erase(*vector) == 1U);
      }
      for (const std::uint32_t vector : waiting) RC_ASSERT(all_masked || masked.contains(vector));
    };
    for (int step = 0; step < 100; ++step) {
      const auto vector = *rc::gen::inRange(0U, vectors);
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
          mask(table, vector, true);
          masked.insert(vector);
          break;
        case 1:
          mask(table, vector, false);
          masked.erase(vector);
          break;
        case 2:
          all_masked = !all_masked;
          table.set_function_mask(all_masked);
          break;
        default:
          RC_ASSERT(table.may_send(vector) == (!all_masked && !masked.contains(vector)));
          if (all_masked || masked.contains(vector)) waiting.insert(vector);
      }
      drain();
      for (std::uint32_t at = 0; at < vectors; ++at)
        RC_ASSERT(((pending(table, at / 64) >> (at % 64)) & 1U) == (waiting.contains(at) ? 1U : 0U));
    }
  });
}

}  // namespace
}  // namespace umdev::pci
