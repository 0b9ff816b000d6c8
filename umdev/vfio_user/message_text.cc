#include "umdev/vfio_user/message_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "umdev/abi/vfio.h"
#include "umdev/support/error.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {
namespace {

// Data beyond this are only counted.
constexpr std::size_t shown_bytes = 16;

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};

constexpr std::array irq_flags{FlagName{abi::vfio_irq_set_data_none, "NONE"},
                               FlagName{abi::vfio_irq_set_data_bool, "BOOL"},
                               FlagName{abi::vfio_irq_set_data_eventfd, "EVENTFD"},
                               FlagName{abi::vfio_irq_set_action_mask, "MASK"},
                               FlagName{abi::vfio_irq_set_action_unmask, "UNMASK"},
                               FlagName{abi::vfio_irq_set_action_trigger, "TRIGGER"}};
constexpr std::array irq_info_flags{
    FlagName{abi::vfio_irq_info_eventfd, "EVENTFD"}, FlagName{abi::vfio_irq_info_maskable, "MASKABLE"},
    FlagName{abi::vfio_irq_info_automasked, "AUTOMASKED"}, FlagName{abi::vfio_irq_info_noresize, "NORESIZE"}};
constexpr std::array region_flags{
    FlagName{abi::vfio_region_info_flag_read, "READ"}, FlagName{abi::vfio_region_info_flag_write, "WRITE"},
    FlagName{abi::vfio_region_info_flag_mmap, "MMAP"}, FlagName{abi::vfio_region_info_flag_caps, "CAPS"}};
constexpr std::array map_flags{FlagName{abi::vfio_dma_map_flag_read, "READ"},
                               FlagName{abi::vfio_dma_map_flag_write, "WRITE"}};
constexpr std::array unmap_flags{FlagName{abi::vfio_dma_unmap_flag_get_dirty_bitmap, "GET_DIRTY_BITMAP"},
                                 FlagName{abi::vfio_dma_unmap_flag_all, "ALL"}};
constexpr std::array feature_flags{FlagName{abi::vfio_device_feature_get, "GET"},
                                   FlagName{abi::vfio_device_feature_set, "SET"},
                                   FlagName{abi::vfio_device_feature_probe, "PROBE"}};

// "READ|WRITE", and what has no name as a number.
template <std::size_t count>
std::string name_flags(std::uint32_t flags, const std::array<FlagName, count>& names) {
  std::string text;
  for (const FlagName& each : names) {
    if ((flags & each.flag) == 0) continue;
    text += (text.empty() ? "" : "|") + std::string(each.name);
    flags &= ~each.flag;
  }
  if (flags != 0 || text.empty()) text += fmt::format("{}{:#x}", text.empty() ? "" : "|", flags);
  return text;
}

std::string show_data(ConstBytes data) {
  std::string text = ":";
  for (const std::byte byte : data.first(std::min(data.size(), shown_bytes)))
    fmt::format_to(std::back_inserter(text), " {:02x}", static_cast<unsigned>(byte));
  return data.size() > shown_bytes ? text + " ..." : text;
}

// What stands behind a structure; nothing where that is all.
std::string data_behind(ConstBytes payload, std::size_t fixed) {
  return payload.size() > fixed ? show_data(payload.subspan(fixed)) : "";
}

std::string describe_version(ConstBytes payload, bool) {
  const auto version = load_struct<abi::VfioUserVersion>(payload);
  if (!version) return show_data(payload);
  std::string text;
  for (const std::byte byte : payload.subspan(sizeof *version)) {
    const char character = static_cast<char>(byte);
    if (character == '\0') break;
    text += character >= ' ' && character <= '~' ? character : '.';
  }
  return fmt::format("{}.{} {}", version->major_number, version->minor_number, text);
}

std::string describe_map(ConstBytes payload, bool) {
  const auto map = load_struct<abi::VfioUserDmaMap>(payload);
  if (!map) return data_behind(payload, 0);
  return fmt::format("{:#x}, {:#x} bytes, {}, file offset {:#x}", map->iova, map->size,
                     name_flags(map->flags, map_flags), map->offset);
}

std::string describe_unmap(ConstBytes payload, bool) {
  const auto unmap = load_struct<abi::VfioUserDmaUnmap>(payload);
  if (!unmap) return data_behind(payload, 0);
  const std::string flags = unmap->flags == 0 ? "" : ", " + name_flags(unmap->flags, unmap_flags);
  return fmt::format("{:#x}, {:#x} bytes{}", unmap->iova, unmap->size, flags) +
         data_behind(payload, sizeof *unmap);
}

std::string describe_info(ConstBytes payload, bool is_reply) {
  const auto info = load_struct<abi::VfioUserDeviceInfo>(payload);
  if (!info) return data_behind(payload, 0);
  if (!is_reply) return fmt::format("argsz {}", info->argsz);
  return fmt::format("flags {:#x}, {} regions, {} interrupt indexes", info->flags, info->num_regions,
                     info->num_irqs);
}

std::string describe_region(ConstBytes payload, bool is_reply) {
  const auto region = load_struct<abi::VfioUserRegionInfo>(payload);
  if (!region) return data_behind(payload, 0);
  if (!is_reply) return fmt::format("region {}, argsz {}", region->index, region->argsz);
  return fmt::format("region {}, {:#x} bytes, {}, offset {:#x}, argsz {}", region->index, region->size,
                     name_flags(region->flags, region_flags), region->offset, region->argsz) +
         data_behind(payload, sizeof *region);
}

std::string describe_io_fds(ConstBytes payload, bool is_reply) {
  const auto fds = load_struct<abi::VfioUserRegionIoFds>(payload);
  if (!fds) return data_behind(payload, 0);
  if (!is_reply) return fmt::format("region {}, argsz {}", fds->index, fds->argsz);
  return fmt::format("region {}, {} entries, argsz {}", fds->index, fds->count, fds->argsz) +
         data_behind(payload, sizeof *fds);
}

std::string describe_irq_info(ConstBytes payload, bool is_reply) {
  const auto irq = load_struct<abi::VfioUserIrqInfo>(payload);
  if (!irq) return data_behind(payload, 0);
  if (!is_reply) return fmt::format("index {}", irq->index);
  return fmt::format("index {}, {} vectors, {}", irq->index, irq->count,
                     name_flags(irq->flags, irq_info_flags));
}

std::string describe_irq_set(ConstBytes payload, bool) {
  const auto irq = load_struct<abi::VfioUserIrqSet>(payload);
  if (!irq) return data_behind(payload, 0);
  return fmt::format("index {}, {} vectors from {}, {}", irq->index, irq->count, irq->start,
                     name_flags(irq->flags, irq_flags)) +
         data_behind(payload, sizeof *irq);
}

std::string describe_access(ConstBytes payload, bool) {
  const auto access = load_struct<abi::VfioUserRegionAccess>(payload);
  if (!access) return data_behind(payload, 0);
  return fmt::format("region {}, {:#x}, {} bytes", access->region, access->offset, access->count) +
         data_behind(payload, sizeof *access);
}

std::string describe_dma(ConstBytes payload, bool) {
  const auto access = load_struct<abi::VfioUserDmaAccess>(payload);
  if (!access) return data_behind(payload, 0);
  return fmt::format("{:#x}, {} bytes", access->iova, access->count) + data_behind(payload, sizeof *access);
}

std::string describe_write_multi(ConstBytes payload, bool is_reply) {
  const auto writes = load_struct<abi::VfioUserWriteMulti>(payload);
  if (!writes) return data_behind(payload, 0);
  if (is_reply) return fmt::format("{} done", writes->count);
  std::string text = fmt::format("{} writes", writes->count);
  if (const auto first = load_struct<abi::VfioUserWriteEntry>(payload, sizeof *writes))
    text +=
        fmt::format(", the first: region {}, {:#x}, {} bytes", first->region, first->offset, first->count);
  return text;
}

std::string describe_feature(ConstBytes payload, bool) {
  const auto feature = load_struct<abi::VfioUserFeature>(payload);
  if (!feature) return data_behind(payload, 0);
  const std::uint32_t number = feature->flags & abi::vfio_device_feature_mask;
  return fmt::format("{} of feature {}, argsz {}",
                     name_flags(feature->flags & ~abi::vfio_device_feature_mask, feature_flags), number,
                     feature->argsz) +
         data_behind(payload, sizeof *feature);
}

std::string describe_mig_data(ConstBytes payload, bool) {
  const auto data = load_struct<abi::VfioUserMigData>(payload);
  if (!data) return data_behind(payload, 0);
  return fmt::format("{} bytes", data->size) + data_behind(payload, sizeof *data);
}

std::string describe_data(ConstBytes payload, bool) {
  return data_behind(payload, 0);
}

using Describe = std::string (*)(ConstBytes payload, bool is_reply);

Describe describer_of(std::uint16_t command) {
  constexpr std::array<Describe, command_count> describers{
      describe_data,        describe_version, describe_map,      describe_unmap,   describe_info,
      describe_region,      describe_io_fds,  describe_irq_info, describe_irq_set, describe_access,
      describe_access,      describe_dma,     describe_dma,      describe_data,    describe_data,
      describe_write_multi, describe_feature, describe_mig_data, describe_mig_data};
  return describers[command < command_count ? command : 0];
}

}  // namespace

std::string describe_message(const abi::VfioUserHeader& header, ConstBytes payload) {
  const bool is_answer = is_reply(header);
  if (is_answer && (header.flags & abi::vfio_user_flags_error) != 0)
    return fmt::format("refused: {}", errno_name(static_cast<int>(header.error)));
  std::string text = describer_of(header.command)(payload, is_answer);
  if (!is_answer && !wants_reply(header)) text += text.empty() ? "no reply wanted" : ", no reply wanted";
  return text;
}

}  // namespace umdev::vfio_user
