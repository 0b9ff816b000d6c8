#include "umdev/pci/config_space.h"

#include <algorithm>

#include "umdev/support/assert.h"

namespace umdev::pci {

Bytes ConfigSpace::own_values() {
  if (own_.empty()) own_.assign(layout_->image().begin(), layout_->image().end());
  return own_;
}

Result<> ConfigSpace::read(std::uint64_t offset, Bytes into) const {
  if (!range_fits(offset, into.size(), layout_->size()))
    return fail(EINVAL, "the read does not lie inside configuration space");
  std::ranges::copy(values().subspan(offset, into.size()), into.begin());
  return {};
}

std::uint32_t ConfigSpace::watched_value(const ConfigLayout::Watch& watch) const {
  std::uint32_t value = 0;
  std::memcpy(&value, values().data() + watch.offset, watch.size);
  return value;
}

Result<ConfigChanges> ConfigSpace::write(std::uint64_t offset, ConstBytes from) {
  if (!range_fits(offset, from.size(), layout_->size()))
    return fail(EINVAL, "the write does not lie inside configuration space");
  std::array<std::uint32_t, ConfigLayout::watches_max> before{};
  const auto watches = layout_->watches();
  for (std::size_t watch = 0; watch < watches.size(); ++watch) before[watch] = watched_value(watches[watch]);

  const Bytes values = own_values().subspan(offset, from.size());
  const ConstBytes writable = layout_->writable().subspan(offset, from.size());
  const ConstBytes write_1_clears = layout_->write_1_clears().subspan(offset, from.size());
  for (std::size_t at = 0; at < from.size(); ++at) {
    const std::byte stored = (values[at] & ~writable[at]) | (from[at] & writable[at]);
    values[at] = stored & ~(from[at] & write_1_clears[at]);
  }

  ConfigChanges changes;
  for (std::size_t watch = 0; watch < watches.size(); ++watch) {
    const std::uint32_t after = watched_value(watches[watch]);
    if (after != before[watch]) changes.add({watches[watch].offset, before[watch], after});
  }
  return changes;
}

void ConfigSpace::reset_function() {
  const ConstBytes image = layout_->image();
  const ConstBytes kept = layout_->kept();
  for (std::size_t at = 0; at < own_.size(); ++at) own_[at] = (own_[at] & kept[at]) | (image[at] & ~kept[at]);
}

std::uint64_t ConfigSpace::bar_address(std::uint32_t index) const {
  if (index >= layout_->bars().size()) return 0;
  const auto offset = static_cast<std::uint16_t>(abi::pci_base_address_0 + 4 * index);
  switch (layout_->bars()[index].kind) {
    case Bar::Kind::none:
      return 0;
    case Bar::Kind::io:
      return value<std::uint32_t>(offset) & abi::pci_base_address_io_mask;
    case Bar::Kind::memory32:
      return value<std::uint32_t>(offset) & abi::pci_base_address_mem_mask;
    case Bar::Kind::memory64:
      return value<std::uint64_t>(offset) & ~std::uint64_t{0xf};
  }
  return 0;
}

}  // namespace umdev::pci
