// The states of a device that can move (VFIO migration protocol v2), and which arcs lead from one to another.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "umdev/abi/migration.h"
#include "umdev/support/error.h"

namespace umdev::vfio {

// The numbers are the UAPI's.
enum class MigrationState : std::uint32_t {
  error = abi::vfio_device_state_error,
  stop = abi::vfio_device_state_stop,
  running = abi::vfio_device_state_running,
  stop_copy = abi::vfio_device_state_stop_copy,
  resuming = abi::vfio_device_state_resuming,
  running_p2p = abi::vfio_device_state_running_p2p,
  pre_copy = abi::vfio_device_state_pre_copy,
  pre_copy_p2p = abi::vfio_device_state_pre_copy_p2p,
};
inline constexpr std::uint32_t migration_states = 8;

// "STOP_COPY", for people.
std::string_view name_of(MigrationState state);

// Which states a device with these abi::vfio_migration_* flags has. ERROR is one that every device has.
bool has_state(std::uint64_t flags, MigrationState state);

// The states in which a device sends (PRE_COPY, PRE_COPY_P2P, STOP_COPY): one data stream lasts as long as
// the device stays among them.
constexpr bool is_saving(MigrationState state) {
  return state == MigrationState::pre_copy || state == MigrationState::pre_copy_p2p ||
         state == MigrationState::stop_copy;
}
constexpr bool is_pre_copy(MigrationState state) {
  return state == MigrationState::pre_copy || state == MigrationState::pre_copy_p2p;
}
// The states in which a data stream is open.
constexpr bool is_transferring(MigrationState state) {
  return is_saving(state) || state == MigrationState::resuming;
}

// Does a device with these flags go from one state to the other in one step?
bool is_arc(std::uint64_t flags, MigrationState from, MigrationState to);

// The first step from `from` to `wanted` (vfio_mig_get_next_state): `from` itself when it is there already.
// The way is the shortest one that passes no saving state, except between two saving states, where it passes
// no other. EINVAL: a state that the device does not have, ERROR on either side, or no such way.
Result<MigrationState> next_migration_state(std::uint64_t flags, MigrationState from, MigrationState wanted);

// The state with this number, of those that a user can name; nothing for a number that no state has.
std::optional<MigrationState> migration_state_of(std::uint32_t number);

}  // namespace umdev::vfio
