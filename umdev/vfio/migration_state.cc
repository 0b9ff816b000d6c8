#include "umdev/vfio/migration_state.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace umdev::vfio {
namespace {

using enum MigrationState;

constexpr std::uint64_t p2p = abi::vfio_migration_p2p;
constexpr std::uint64_t pre_copy_flag = abi::vfio_migration_pre_copy;

struct Arc {
  MigrationState from;
  MigrationState to;
  std::uint64_t needs = 0;     // flags
  std::uint64_t excludes = 0;  // flags
};

// The UAPI's list of arcs that a driver implements.
constexpr Arc arcs[] = {
    {.from = resuming, .to = stop},
    {.from = stop, .to = resuming},
    {.from = stop, .to = stop_copy},
    {.from = stop_copy, .to = stop},
    {.from = running, .to = stop, .excludes = p2p},
    {.from = stop, .to = running, .excludes = p2p},
    {.from = running, .to = running_p2p, .needs = p2p},
    {.from = running_p2p, .to = running, .needs = p2p},
    {.from = running_p2p, .to = stop, .needs = p2p},
    {.from = stop, .to = running_p2p, .needs = p2p},
    {.from = running, .to = pre_copy, .needs = pre_copy_flag},
    {.from = pre_copy, .to = running, .needs = pre_copy_flag},
    {.from = pre_copy, .to = stop_copy, .needs = pre_copy_flag, .excludes = p2p},
    {.from = pre_copy, .to = pre_copy_p2p, .needs = pre_copy_flag | p2p},
    {.from = pre_copy_p2p, .to = pre_copy, .needs = pre_copy_flag | p2p},
    {.from = running_p2p, .to = pre_copy_p2p, .needs = pre_copy_flag | p2p},
    {.from = pre_copy_p2p, .to = running_p2p, .needs = pre_copy_flag | p2p},
    {.from = pre_copy_p2p, .to = stop_copy, .needs = pre_copy_flag | p2p},
};

bool exists(const Arc& arc, std::uint64_t flags) {
  return (flags & arc.needs) == arc.needs && (flags & arc.excludes) == 0;
}

// May a way between these two ends pass through `state`?
bool may_pass(MigrationState state, MigrationState from, MigrationState wanted) {
  return is_saving(state) == (is_saving(from) && is_saving(wanted));
}

std::size_t index_of(MigrationState state) {
  return static_cast<std::size_t>(state);
}

}  // namespace

std::string_view name_of(MigrationState state) {
  constexpr std::string_view names[] = {"ERROR",    "STOP",        "RUNNING",  "STOP_COPY",
                                        "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P"};
  return names[index_of(state)];
}

bool has_state(std::uint64_t flags, MigrationState state) {
  if (state == running_p2p) return (flags & p2p) != 0;
  if (state == pre_copy) return (flags & pre_copy_flag) != 0;
  if (state == pre_copy_p2p) return (flags & (p2p | pre_copy_flag)) == (p2p | pre_copy_flag);
  return true;
}

bool is_arc(std::uint64_t flags, MigrationState from, MigrationState to) {
  return std::ranges::any_of(
      arcs, [&](const Arc& arc) { return arc.from == from && arc.to == to && exists(arc, flags); });
}

Result<MigrationState> next_migration_state(std::uint64_t flags, MigrationState from, MigrationState wanted) {
  if (from == error || wanted == error)
    return fail(EINVAL, "only a reset leads out of ERROR, nothing into it");
  if (!has_state(flags, from) || !has_state(flags, wanted))
    return fail(EINVAL, "the device does not have this migration state");
  if (from == wanted) return from;

  // Breadth first from the far end, so that what is found first is the next step on a shortest way.
  std::array<bool, migration_states> seen{};
  std::array<MigrationState, migration_states> queue{wanted};
  seen[index_of(wanted)] = true;
  for (std::size_t first = 0, last = 1; first < last; ++first) {
    const MigrationState reached = queue[first];
    if (is_arc(flags, from, reached)) return reached;
    for (const Arc& arc : arcs) {
      if (arc.to != reached || !exists(arc, flags) || seen[index_of(arc.from)]) continue;
      if (!may_pass(arc.from, from, wanted)) continue;
      seen[index_of(arc.from)] = true;
      queue[last++] = arc.from;
    }
  }
  return fail(EINVAL, "no arcs lead to this migration state");
}

std::optional<MigrationState> migration_state_of(std::uint32_t number) {
  if (number >= migration_states) return std::nullopt;
  return static_cast<MigrationState>(number);
}

}  // namespace umdev::vfio
