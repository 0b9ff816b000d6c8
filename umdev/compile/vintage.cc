#include "umdev/compile/vintage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "umdev/compile/tokens.h"

namespace umdev::compile {
namespace {

using enum Vintage;

struct Known {
  Vintage vintage;
  std::string_view name;
  std::uint32_t number;
};
constexpr std::array<Known, 7> known{{{v4_10, "4.10", 0x040a00},
                                      {v5_13_rc, "5.13-rc", 0x050cff},
                                      {v5_13, "5.13", 0x050d00},
                                      {v5_16, "5.16", 0x051000},
                                      {v6_1, "6.1", 0x060100},
                                      {v6_12, "6.12", 0x060c00},
                                      {v7_0, "7.0", 0x070000}}};
constexpr std::array<Vintage, 7> in_order{v4_10, v5_13_rc, v5_13, v5_16, v6_1, v6_12, v7_0};

constexpr int any_use = -1;

// Since when and until when a name was there, or a function had so many arguments.
struct Mark {
  std::string_view name;
  Vintage first;
  Vintage last;
  int arguments = any_use;
  std::string_view before = {};
};

constexpr std::array marks{
    // Registration of VFIO devices.
    Mark{"vfio_add_group_dev", v4_10, v4_10},
    Mark{"vfio_del_group_dev", v4_10, v4_10},
    Mark{"vfio_device_data", v4_10, v4_10},
    Mark{"vfio_init_group_dev", v5_13_rc, v5_13_rc, 4},
    Mark{"vfio_init_group_dev", v5_13, v5_16, 3},
    Mark{"vfio_uninit_group_dev", v5_13, v5_16},
    Mark{"vfio_register_group_dev", v5_13_rc, v7_0},
    Mark{"vfio_unregister_group_dev", v5_13_rc, v7_0},
    Mark{"vfio_register_emulated_iommu_dev", v5_16, v7_0},
    Mark{"vfio_alloc_device", v6_1, v7_0},
    Mark{"vfio_put_device", v6_1, v7_0},
    Mark{"vfio_free_device", v6_1, v6_1},
    Mark{"open_device", v5_13, v7_0},
    Mark{"close_device", v5_13, v7_0},
    Mark{"vfio_migration_ops", v5_16, v7_0, any_use, "struct"},
    Mark{"migration_get_data_size", v6_12, v7_0},
    Mark{"vfio_log_ops", v6_1, v7_0, any_use, "struct"},
    Mark{"vfio_combine_iova_ranges", v6_12, v7_0},
    Mark{"bind_iommufd", v6_12, v7_0},
    Mark{"attach_ioas", v6_12, v7_0},
    Mark{"get_region_info_caps", v7_0, v7_0},
    Mark{"match_token_uuid", v7_0, v7_0},
    Mark{"pasid_attach_ioas", v7_0, v7_0},
    Mark{"vfio_check_precopy_ioctl", v7_0, v7_0},
    // Parents and drivers of mdevs.
    Mark{"parent_ops", v4_10, v4_10, any_use, "struct"},
    Mark{"mdev_parent_ops", v4_10, v5_16, any_use, "struct"},
    Mark{"mdev_register_device", v4_10, v5_16},
    Mark{"mdev_unregister_device", v4_10, v5_16},
    Mark{"mdev_register_driver", v4_10, v5_13_rc, 2},
    Mark{"mdev_register_driver", v5_13, v7_0, 1},
    Mark{"mdev_register_parent", v6_1, v7_0},
    Mark{"mdev_unregister_parent", v6_1, v7_0},
    Mark{"mdev_get_drvdata", v4_10, v5_16},
    Mark{"mdev_set_drvdata", v4_10, v5_16},
    Mark{"mdev_from_dev", v4_10, v5_16},
    Mark{"mdev_uuid", v4_10, v5_16},
    Mark{"mdev_parent_dev", v4_10, v5_16},
    Mark{"mdev_get_type_group_id", v5_13, v5_16},
    Mark{"mtype_get_type_group_id", v5_13, v5_16},
    Mark{"MDEV_TYPE_ATTR_RO", v4_10, v5_16},
    Mark{"MDEV_TYPE_ATTR_RW", v4_10, v5_16},
    // External users and notifiers.
    Mark{"vfio_group_get_external_user", v4_10, v5_16},
    Mark{"vfio_group_put_external_user", v4_10, v5_16},
    Mark{"vfio_register_notifier", v4_10, v5_16},
    Mark{"vfio_unregister_notifier", v4_10, v5_16},
    Mark{"vfio_device_get_from_dev", v4_10, v5_16},
    Mark{"vfio_file_is_valid", v5_16, v7_0},
    Mark{"vfio_file_has_dev", v5_16, v7_0},
    Mark{"vfio_file_set_kvm", v5_16, v7_0},
    // IOMMU drivers.
    Mark{"register_notifier", v4_10, v5_16},
    Mark{"vfio_group_iommu_domain", v5_13, v5_16},
    Mark{"vfio_group_type", v5_16, v7_0, any_use, "enum"},
    Mark{"vfio_iommu_notify_type", v5_13, v6_1, any_use, "enum"},
    Mark{"register_device", v6_1, v7_0},
    // What else drivers use, and what has lost an argument.
    Mark{"uuid_le_cmp", v4_10, v4_10},
    Mark{"eventfd_signal", v4_10, v6_1, 2},
    Mark{"eventfd_signal", v6_12, v7_0, 1},
    Mark{"class_create", v4_10, v6_1, 2},
    Mark{"class_create", v6_12, v7_0, 1},
};

const Mark* find_mark(const Identifier& identifier) {
  for (const Mark& mark : marks) {
    if (mark.name != identifier.name) continue;
    if (!mark.before.empty() && mark.before != identifier.before) continue;
    if (mark.arguments == any_use ||
        (identifier.is_call && mark.arguments == static_cast<int>(identifier.arguments)))
      return &mark;
  }
  return nullptr;
}

std::string note_of(const Mark& mark) {
  if (mark.arguments == any_use) return {};
  return fmt::format(" with {} argument{}", mark.arguments, mark.arguments == 1 ? "" : "s");
}

std::string place_of(const Evidence& evidence) {
  return fmt::format("{}:{} uses {}{}", evidence.file, evidence.line, evidence.name, evidence.note);
}

}  // namespace

std::string_view name_of(Vintage vintage) {
  return std::find_if(known.begin(), known.end(), [&](const Known& one) { return one.vintage == vintage; })
      ->name;
}

std::uint32_t number_of(Vintage vintage) {
  return std::find_if(known.begin(), known.end(), [&](const Known& one) { return one.vintage == vintage; })
      ->number;
}

std::optional<Vintage> find_vintage(std::string_view name) {
  for (const Known& one : known)
    if (one.name == name) return one.vintage;
  return std::nullopt;
}

std::span<const Vintage> all_vintages() {
  return in_order;
}

std::vector<Evidence> find_evidence(std::span<const SourceText> sources) {
  std::vector<Evidence> found;
  std::set<const Mark*> seen;
  for (const SourceText& source : sources)
    for (const Identifier& identifier : find_identifiers(source.text)) {
      const Mark* mark = find_mark(identifier);
      if (mark == nullptr || !seen.insert(mark).second) continue;
      found.push_back({.file = source.name,
                       .line = identifier.line,
                       .name = std::string(mark->name),
                       .note = note_of(*mark),
                       .first = mark->first,
                       .last = mark->last});
    }
  return found;
}

std::expected<Choice, std::string> choose_vintage(std::span<const SourceText> sources) {
  const std::vector<Evidence> evidence = find_evidence(sources);
  if (evidence.empty()) return Choice{};
  const auto& newest =
      *std::max_element(evidence.begin(), evidence.end(),
                        [](const auto& left, const auto& right) { return left.first < right.first; });
  const auto& oldest =
      *std::min_element(evidence.begin(), evidence.end(),
                        [](const auto& left, const auto& right) { return left.last < right.last; });
  if (newest.first > oldest.last)
    return std::unexpected(fmt::format("{} (until {}), and {} (since {}): say which with --api",
                                       place_of(oldest), name_of(oldest.last), place_of(newest),
                                       name_of(newest.first)));
  Choice choice{.vintage = newest.first, .because = {}};
  if (newest.first != v4_10) choice.because.push_back(newest);
  if (oldest.last != v7_0 && (choice.because.empty() || &oldest != &newest)) choice.because.push_back(oldest);
  return choice;
}

std::string describe(const Choice& choice) {
  std::string text = fmt::format("interface {}", name_of(choice.vintage));
  if (choice.because.empty()) return text + ": nothing in the source tells, so the newest";
  for (const Evidence& evidence : choice.because) {
    text += fmt::format("{}{} (", text.contains(':') ? ", " : ": ", place_of(evidence));
    if (evidence.first == evidence.last)
      text += fmt::format("only {}", name_of(evidence.first));
    else if (evidence.first != v4_10)
      text += fmt::format("since {}", name_of(evidence.first));
    else
      text += fmt::format("until {}", name_of(evidence.last));
    text += ')';
  }
  return text;
}

}  // namespace umdev::compile
