// The daemon's numbers, as metrics.
#include "apps/umdevd/daemon.h"
#include "umdev/os/fault_guard.h"
#include "umdev/tree/transaction.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::daemon {
namespace {

std::string to_label(std::size_t error_number) {
  return std::string(errno_name(static_cast<int>(error_number)));
}

void report_types(const mdev::Bus& bus, manage::MetricSet& set) {
  std::map<const mdev::Type*, std::uint64_t> instances;
  for (const auto& instance : bus.instances()) ++instances[&instance->type()];
  const auto parents = bus.parents();
  set.gauge("umdev_parents", "Parents that instances can be made of.", parents.size());
  for (const auto& parent : parents) {
    for (const auto& type : parent->types()) {
      const manage::Labels labels{{"parent", std::string(parent->name())}, {"type", std::string(type->id())}};
      const auto found = instances.find(type.get());
      set.gauge("umdev_instances", "Instances that there are.", found != instances.end() ? found->second : 0,
                labels);
      set.gauge("umdev_available_instances", "Instances that can be made still; types of a parent share.",
                type->available(), labels);
    }
  }
}

void report_core(const vfio::CoreStatus& core, const IommuNumbers& iommu, manage::MetricSet& set) {
  set.gauge("umdev_vfio_devices", "VFIO devices.", core.devices);
  set.gauge("umdev_vfio_groups", "VFIO groups.", core.groups);
  set.gauge("umdev_vfio_containers", "VFIO containers that have an IOMMU.", iommu.containers);
  set.gauge("umdev_vfio_open_files", "Open device files.", core.open_files);
  set.gauge("umdev_vfio_abandoned_devices", "Devices in whose driver a call is stuck for good.",
            core.abandoned_devices);
  set.gauge("umdev_iommu_mappings", "Mappings of client memory for devices.", iommu.mappings);
  set.gauge("umdev_iommu_pins", "Pins of client memory that devices hold.", iommu.pins);
}

void report_sessions(const vfio_user::ServerStatus& server, manage::MetricSet& set) {
  const vfio_user::CounterValues& counters = server.counters;
  set.gauge("umdev_client_file_mappings", "Mappings of clients' files in the daemon.", server.file_mappings);
  set.gauge("umdev_client_mapped_bytes", "Address space that clients' files take.", server.mapped_bytes);
  set.gauge("umdev_vfio_user_sessions", "vfio-user connections.",
            counters.sessions_begun - counters.sessions_ended);
  set.counter("umdev_vfio_user_sessions_begun_total", "vfio-user connections accepted.",
              counters.sessions_begun);
  set.counter("umdev_vfio_user_sessions_opened_total", "vfio-user sessions that got their device.",
              counters.sessions_opened);
  set.counter("umdev_vfio_user_connections_refused_total", "vfio-user connections beyond a socket's limit.",
              counters.connections_refused);
  set.counter("umdev_vfio_user_silent_clients_total", "vfio-user connections that never spoke.",
              counters.silent_clients);
  set.counter("umdev_vfio_user_broken_frames_total", "vfio-user sessions ended by a broken frame.",
              counters.broken_frames);
  set.counter("umdev_vfio_user_unexpected_replies_total", "Replies to commands that were never sent.",
              counters.unexpected_replies);
  set.counter("umdev_vfio_user_unexpected_descriptors_total", "Descriptors that nobody had asked for.",
              counters.unexpected_descriptors);
  set.counter("umdev_vfio_user_posted_messages_total", "vfio-user messages that wanted no reply.",
              counters.posted_writes);
  set.counter("umdev_vfio_user_received_bytes_total", "Bytes received from vfio-user clients.",
              counters.bytes_received);
  set.counter("umdev_vfio_user_sent_bytes_total", "Bytes sent to vfio-user clients.", counters.bytes_sent);
}

void report_messages(const vfio_user::CounterValues& counters, manage::MetricSet& set) {
  for (std::uint16_t command = 0; command < vfio_user::command_count; ++command) {
    const manage::Labels labels{{"command", std::string(vfio_user::command_name(command))}};
    if (counters.messages[command] > 0)
      set.counter("umdev_vfio_user_messages_total", "vfio-user messages, by command.",
                  counters.messages[command], labels);
    if (counters.latencies[command].count() > 0)
      set.histogram("umdev_vfio_user_message_duration_seconds",
                    "vfio-user messages, from their turn to the reply; of many that came together a sample.",
                    counters.latencies[command], labels);
  }
  for (std::size_t code = 0; code < vfio_user::errno_count; ++code)
    if (counters.errors[code] > 0)
      set.counter("umdev_vfio_user_errors_total", "vfio-user messages that were refused, by errno.",
                  counters.errors[code], {{"errno", to_label(code)}});
}

void report_tree(const sysfs::Statistics& statistics, manage::MetricSet& set) {
  constexpr std::string_view name = "umdev_tree_operation_duration_seconds";
  constexpr std::string_view help = "Reads and writes of attributes in the mounted tree.";
  set.histogram(name, help, statistics.reads.values(), {{"operation", "read"}});
  set.histogram(name, help, statistics.writes.values(), {{"operation", "write"}});
  for (std::size_t code = 0; code < ErrnoCounters::count; ++code)
    if (const auto count = statistics.errors.value(code); count > 0)
      set.counter("umdev_tree_errors_total", "Reads and writes of attributes that failed, by errno.", count,
                  {{"errno", to_label(code)}});
}

// Reads the files: they are the truth.
void report_definitions(const manage::Definitions& definitions, manage::MetricSet& set) {
  using State = manage::DefinitionState;
  std::map<State, std::uint64_t> counts{{State::inactive, 0},
                                        {State::active, 0},
                                        {State::failed, 0},
                                        {State::orphaned, 0},
                                        {State::unreadable, 0}};
  if (const auto reports = definitions.list())
    for (const manage::DefinitionReport& report : *reports) ++counts[report.state];
  for (const auto& [state, count] : counts)
    set.gauge("umdev_definitions", "Definitions, by what has become of them.", count,
              {{"state", std::string(to_string(state))}});
}

}  // namespace

void Daemon::report(manage::MetricSet& set) const {
  set.gauge("umdev_build_info", "Always 1; the label says which version runs.", 1,
            {{"version", UMDEV_VERSION}});
  report_types(*bus_, set);
  report_definitions(*definitions_, set);
  report_core(core_->status(), iommu_->numbers(), set);
  set.counter("umdev_truncation_faults_total", "Accesses to memory that its client had truncated.",
              os::FaultGuard::count_faults());
  const vfio_user::ServerStatus server = vfio_user_->status();
  report_sessions(server, set);
  report_messages(server.counters, set);
  set.counter("umdev_uevents_total", "Uevents of the device model.", model_->events().count());
  set.gauge("umdev_watchers", "Connections that watch.", news_->watchers());
  if (uevents_) {
    set.counter("umdev_uevents_sent_total", "Uevents that the kernel took.", uevents_->sent());
    set.counter("umdev_uevents_failed_total", "Uevents that could not be sent.", uevents_->failed());
  }
  if (tree_mount_) report_tree(tree_mount_->statistics(), set);
}

Result<> Daemon::publish_metrics() {
  metrics_.add(*this);
  tree::Transaction transaction(tree_);
  const auto file_systems = transaction.add_directory(tree_.root(), "fs");
  const auto directory = transaction.add_directory(file_systems, "umdev");
  transaction.add_attribute(directory,
                            {.name = "metrics", .mode = 0444, .attribute = metrics_attribute(metrics_)});
  metrics_nodes_ = UMDEV_TRY(transaction.commit());
  return {};
}

}  // namespace umdev::daemon
