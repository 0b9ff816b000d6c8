// What the daemon says of its doors in `umdev status`.
#include "apps/umdevd/daemon.h"
#include "apps/umdevd/instance_trace.h"
#include "umdev/os/fault_guard.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::daemon {
namespace {

control::NumberGroup count_messages(const vfio_user::CounterValues& counters) {
  control::NumberGroup group{.name = "messages", .numbers = {}};
  for (std::uint16_t command = 0; command < vfio_user::command_count; ++command)
    if (counters.messages[command] > 0)
      group.numbers.emplace_back(vfio_user::command_name(command), counters.messages[command]);
  return group;
}

control::NumberGroup count_errors(const vfio_user::CounterValues& counters) {
  control::NumberGroup group{.name = "errors", .numbers = {}};
  for (std::size_t code = 0; code < vfio_user::errno_count; ++code)
    if (counters.errors[code] > 0)
      group.numbers.emplace_back(errno_name(static_cast<int>(code)), counters.errors[code]);
  return group;
}

control::NumberGroup describe_sessions(const vfio_user::CounterValues& counters) {
  return {.name = "vfio_user",
          .numbers = {{"sessions", counters.sessions_begun - counters.sessions_ended},
                      {"sessions_begun", counters.sessions_begun},
                      {"sessions_opened", counters.sessions_opened},
                      {"sessions_ended", counters.sessions_ended},
                      {"connections_refused", counters.connections_refused},
                      {"silent_clients", counters.silent_clients},
                      {"broken_frames", counters.broken_frames},
                      {"unexpected_replies", counters.unexpected_replies},
                      {"unexpected_descriptors", counters.unexpected_descriptors},
                      {"posted_writes", counters.posted_writes},
                      {"dma_messages", counters.dma_messages},
                      {"bytes_received", counters.bytes_received},
                      {"bytes_sent", counters.bytes_sent}}};
}

// By their state, and files that are none.
control::NumberGroup count_definitions(const manage::Definitions& definitions) {
  std::uint64_t active = 0;
  std::uint64_t failed = 0;
  std::uint64_t orphaned = 0;
  std::uint64_t unreadable = 0;
  const auto reports = definitions.list();
  if (reports)
    for (const manage::DefinitionReport& report : *reports) {
      active += report.state == manage::DefinitionState::active ? 1 : 0;
      failed += report.state == manage::DefinitionState::failed ? 1 : 0;
      orphaned += report.state == manage::DefinitionState::orphaned ? 1 : 0;
      unreadable += report.state == manage::DefinitionState::unreadable ? 1 : 0;
    }
  return {.name = "definitions",
          .numbers = {{"defined", reports ? reports->size() - unreadable : 0},
                      {"active", active},
                      {"failed", failed},
                      {"orphaned", orphaned},
                      {"unreadable", unreadable}}};
}

}  // namespace

Result<std::unique_ptr<control::Topic>> Daemon::trace_of(const Uuid& uuid) const {
  auto tap = sockets_->tap_of(uuid);
  if (!tap) return fail(ENODEV, "no such device has a socket");
  return std::make_unique<InstanceTrace>(std::move(tap));
}

std::vector<control::SessionReport> Daemon::sessions() const {
  std::vector<control::SessionReport> reports;
  for (vfio_user::SessionStatus& session : vfio_user_->status().sessions)
    reports.push_back({.device = std::move(session.device),
                       .pid = session.peer,
                       .open = session.open,
                       .mappings = session.mappings});
  return reports;
}

std::vector<control::NumberGroup> Daemon::numbers() const {
  const vfio::CoreStatus core = core_->status();
  const IommuNumbers iommu = iommu_->numbers();
  const vfio_user::ServerStatus server = vfio_user_->status();
  return {{.name = "vfio",
           .numbers = {{"devices", core.devices},
                       {"groups", core.groups},
                       {"containers", iommu.containers},
                       {"open_files", core.open_files},
                       {"abandoned_devices", core.abandoned_devices}}},
          count_definitions(*definitions_),
          {.name = "memory",
           .numbers = {{"mappings", iommu.mappings},
                       {"pins", iommu.pins},
                       {"file_mappings", server.file_mappings},
                       {"mapped_bytes", server.mapped_bytes},
                       {"truncation_faults", os::FaultGuard::count_faults()}}},
          describe_sessions(server.counters),
          count_messages(server.counters),
          count_errors(server.counters)};
}

}  // namespace umdev::daemon
