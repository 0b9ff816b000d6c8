#include "umdev/pci/msix.h"

#include <algorithm>
#include <bit>

namespace umdev::pci {
namespace {

constexpr std::uint32_t word_bits = 64;

std::uint64_t bit_of(std::uint32_t vector) {
  return std::uint64_t{1} << (vector % word_bits);
}

}  // namespace

MsixPiece first_piece(const MsixCapability& msix, std::uint32_t bar, std::uint64_t offset,
                      std::uint64_t size) {
  if (msix.vectors == 0 || (bar != msix.table_bar && bar != msix.pba_bar))
    return {MsixPiece::Where::device, offset, size};
  const struct {
    MsixPiece::Where where;
    std::uint8_t bar;
    std::uint64_t begin, length;
  } structures[] = {
      {MsixPiece::Where::table, msix.table_bar, msix.table_offset,
       std::uint64_t{msix.vectors} * abi::pci_msix_entry_size},
      {MsixPiece::Where::pending_bits, msix.pba_bar, msix.pba_offset,
       std::uint64_t{(msix.vectors + word_bits - 1) / word_bits} * sizeof(std::uint64_t)},
  };
  std::uint64_t until = size;  // the next structure begins
  for (const auto& structure : structures) {
    if (structure.bar != bar) continue;
    if (offset >= structure.begin && offset - structure.begin < structure.length)
      return {structure.where, offset - structure.begin,
              std::min(size, structure.length - (offset - structure.begin))};
    if (offset < structure.begin && structure.length > 0) until = std::min(until, structure.begin - offset);
  }
  return {MsixPiece::Where::device, offset, until};
}

bool MsixTable::may_send(std::uint32_t vector) {
  if (vector >= entries_.size()) return false;
  if (!masked(vector)) return true;
  pending_[vector / word_bits] |= bit_of(vector);
  return false;
}

std::optional<std::uint32_t> MsixTable::take_sendable() {
  if (function_masked_) return std::nullopt;
  for (std::uint32_t word = 0; word < pending_.size(); ++word)
    for (std::uint64_t left = pending_[word]; left != 0; left &= left - 1) {
      const std::uint32_t vector = word * word_bits + static_cast<std::uint32_t>(std::countr_zero(left));
      if (masked(vector)) continue;
      pending_[word] &= ~bit_of(vector);
      return vector;
    }
  return std::nullopt;
}

void MsixTable::set_enabled(bool enabled) {
  if (enabled_ && !enabled) forget_pending();
  enabled_ = enabled;
}

void MsixTable::read_table(std::uint64_t offset, Bytes into) const {
  std::ranges::copy(table().subspan(offset, into.size()), into.begin());
  if (enabled_) return;
  for (std::size_t at = 0; at < into.size(); ++at)
    if ((offset + at) % abi::pci_msix_entry_size == abi::pci_msix_entry_vector_ctrl)
      into[at] |= std::byte{abi::pci_msix_entry_ctrl_maskbit};
}

void MsixTable::write_table(std::uint64_t offset, ConstBytes from) {
  const Bytes bytes = std::as_writable_bytes(std::span(entries_)).subspan(offset, from.size());
  std::ranges::copy(from, bytes.begin());
  // All other bits of vector control are reserved.
  for (std::uint64_t vector = offset / abi::pci_msix_entry_size;
       vector * abi::pci_msix_entry_size < offset + from.size(); ++vector) {
    entries_[vector].address_low &= ~3U;
    entries_[vector].control &= abi::pci_msix_entry_ctrl_maskbit;
  }
}

void MsixTable::read_pending(std::uint64_t offset, Bytes into) const {
  std::ranges::copy(std::as_bytes(std::span(pending_)).subspan(offset, into.size()), into.begin());
}

void MsixTable::forget_pending() {
  std::ranges::fill(pending_, 0);
}

void MsixTable::reset() {
  std::ranges::fill(entries_, Entry{});
  forget_pending();
  function_masked_ = false;
}

std::vector<std::byte> MsixTable::save() const {
  const ConstBytes pending = std::as_bytes(std::span(pending_));
  std::vector<std::byte> saved(table().begin(), table().end());
  saved.insert(saved.end(), pending.begin(), pending.end());
  return saved;
}

Result<> MsixTable::load(ConstBytes saved) {
  const Bytes pending = std::as_writable_bytes(std::span(pending_));
  if (saved.size() != table().size() + pending.size())
    return fail(EINVAL, "not the MSI-X table of this function");
  if (entries_.empty()) return {};
  const std::size_t last = entries_.size() % word_bits;
  const auto highest = *load_le<std::uint64_t>(saved, saved.size() - sizeof(std::uint64_t));
  if (last != 0 && (highest >> last) != 0) return fail(EINVAL, "a vector is pending that does not exist");
  write_table(0, saved.first(table().size()));
  std::ranges::copy(saved.subspan(table().size()), pending.begin());
  return {};
}

}  // namespace umdev::pci
