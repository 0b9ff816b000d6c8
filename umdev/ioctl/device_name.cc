#include "umdev/ioctl/device_name.h"

#include <algorithm>

#include "umdev/vfio/registered_device.h"

namespace umdev::ioctl {
namespace {

constexpr std::size_t string_max = iommu::page_size;  // the terminating zero included

// True for a device that vfio-pci would have: a PCI function with DMA of its own. An mdev is known by its
// name alone.
bool takes_options(const vfio::GroupFile& group, std::string_view name) {
  if (group.group().iommu_group().kind() == vfio::IommuGroup::Kind::emulated) return false;
  return std::ranges::any_of(group.group().devices(),
                             [&](const auto& device) { return device->match(name) > 0; });
}

}  // namespace

Result<std::string> read_device_name(Caller& caller, UserAddress address) {
  std::string text;
  while (text.size() < string_max) {
    // To the end of a page at most, so that a string that ends before memory does can be read.
    const UserAddress at = address + text.size();
    const std::size_t piece =
        std::min<std::size_t>(string_max - text.size(), iommu::page_size - at % iommu::page_size);
    const std::size_t before = text.size();
    text.resize(before + piece);
    UMDEV_TRY(caller.read(at, std::as_writable_bytes(std::span(text).subspan(before))));
    if (const std::size_t end = text.find('\0', before); end != std::string::npos) {
      text.resize(end);
      return text;
    }
  }
  return fail(EINVAL, "the name is longer than a page");
}

Result<DeviceName> parse_device_name(const vfio::GroupFile& group, std::string_view text) {
  constexpr std::string_view token_option = "vf_token=";
  DeviceName result{.name = text, .token = std::nullopt};
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || !takes_options(group, text.substr(0, space))) return result;
  result.name = text.substr(0, space);
  std::string_view rest = text.substr(space);
  while (!rest.empty()) {
    if (rest.front() == ' ') {
      rest.remove_prefix(1);
      continue;
    }
    if (result.token || !rest.starts_with(token_option))
      return fail(EINVAL, "an unknown option of the device");
    rest.remove_prefix(token_option.size());
    result.token = UMDEV_TRY(Uuid::parse(rest.substr(0, Uuid::text_length)));
    rest.remove_prefix(Uuid::text_length);
  }
  return result;
}

}  // namespace umdev::ioctl
