#include "umdev/control/describe.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "umdev/abi/vfio.h"
#include "umdev/control/describe_definitions.h"
#include "umdev/vfio/group.h"

namespace umdev::control {
namespace {

using Json = nlohmann::ordered_json;

// What is not UTF-8 (a path, say) is shown with replacement characters.
std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string_view to_string(mdev::InstanceState state) {
  switch (state) {
    case mdev::InstanceState::probing:
      return "probing";
    case mdev::InstanceState::active:
      return "active";
    case mdev::InstanceState::removing:
      return "removing";
  }
  return "?";
}

std::map<const mdev::Type*, std::uint32_t> count_instances(const mdev::Bus& bus) {
  std::map<const mdev::Type*, std::uint32_t> counts;
  for (const auto& instance : bus.instances()) ++counts[&instance->type()];
  return counts;
}

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};
constexpr std::array region_flags{FlagName{abi::vfio_region_info_flag_read, "read"},
                                  FlagName{abi::vfio_region_info_flag_write, "write"},
                                  FlagName{abi::vfio_region_info_flag_mmap, "mmap"}};
constexpr std::array irq_flags{
    FlagName{abi::vfio_irq_info_eventfd, "eventfd"}, FlagName{abi::vfio_irq_info_maskable, "maskable"},
    FlagName{abi::vfio_irq_info_automasked, "automasked"}, FlagName{abi::vfio_irq_info_noresize, "noresize"}};

template <std::size_t count>
Json name_flags(std::uint32_t flags, const std::array<FlagName, count>& names) {
  Json result = Json::array();
  for (const FlagName& known : names)
    if ((flags & known.flag) != 0) result.push_back(known.name);
  return result;
}

constexpr std::array<std::string_view, 9> pci_region_names{"BAR0", "BAR1", "BAR2",   "BAR3", "BAR4",
                                                           "BAR5", "ROM",  "config", "VGA"};
constexpr std::array<std::string_view, 5> pci_irq_names{"INTx", "MSI", "MSI-X", "ERR", "REQ"};

template <std::size_t count>
std::string_view name_of(bool pci, const std::array<std::string_view, count>& names, std::uint32_t index) {
  return pci && index < count ? names[index] : std::string_view();
}

// What the device does not implement (size or count 0) is left out.
Json describe_regions(const vfio::Device& device, const vfio::DeviceInfo& info) {
  const bool pci = (info.flags & abi::vfio_device_flags_pci) != 0;
  Json regions = Json::array();
  for (std::uint32_t index = 0; index < info.num_regions; ++index) {
    const auto region = device.region_info(index);
    if (!region || region->size == 0) continue;
    regions.push_back({{"index", index},
                       {"name", name_of(pci, pci_region_names, index)},
                       {"size", region->size},
                       {"flags", name_flags(region->flags, region_flags)}});
  }
  return regions;
}

Json describe_irqs(const vfio::Device& device, const vfio::DeviceInfo& info) {
  const bool pci = (info.flags & abi::vfio_device_flags_pci) != 0;
  Json irqs = Json::array();
  for (std::uint32_t index = 0; index < info.num_irqs; ++index) {
    const auto irq = device.irq_info(index);
    if (!irq || irq->count == 0) continue;
    irqs.push_back({{"index", index},
                    {"name", name_of(pci, pci_irq_names, index)},
                    {"count", irq->count},
                    {"flags", name_flags(irq->flags, irq_flags)}});
  }
  return irqs;
}

Json describe_briefly(const mdev::Bus& bus, const Doors& doors, const mdev::Instance& instance) {
  const auto state = bus.state(instance.uuid());
  const auto device = instance.vfio_device();
  return {{"uuid", instance.uuid().to_string()},
          {"parent", instance.mdev_parent().name()},
          {"type", instance.type().id()},
          {"state", state ? to_string(*state) : "removed"},
          {"open_files", device ? device->open_count() : 0},
          {"socket", doors.socket_of(instance.uuid()).path},
          {"owner",
           {{"uid", instance.owner().uid}, {"pid", instance.owner().pid}, {"door", instance.owner().door}}}};
}

// A module's device is asked what it is when it is opened for the first time: before, it cannot even say
// which kind of device it is.
bool is_known(const vfio::DeviceInfo& info) {
  return info.flags != 0 || info.num_regions > 0 || info.num_irqs > 0;
}

// The VFIO device's part; nothing of it while the instance is bound to no bus driver, or on its way out. What
// is known at the first open is null until then.
void describe_device(const mdev::Instance& instance, Json& into) {
  into["regions"] = Json::array();
  into["irqs"] = Json::array();
  const auto ref = vfio::DeviceRef::try_get(instance.vfio_device());
  if (!ref) return;
  into["iommu_group"] = ref->group()->iommu_group().number();
  into["vfio_device"] = "vfio" + std::to_string(ref->index());
  const auto stay = ref->enter();
  const vfio::Device& device = ref->device();
  const vfio::DeviceInfo info = device.info();
  into["regions"] = is_known(info) ? describe_regions(device, info) : Json();
  into["irqs"] = is_known(info) ? describe_irqs(device, info) : Json();
}

Json describe_session(const SessionReport& session) {
  return {
      {"uuid", session.device}, {"pid", session.pid}, {"open", session.open}, {"mappings", session.mappings}};
}

constexpr double nanoseconds_per_second = 1e9;

double to_seconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / nanoseconds_per_second;
}

void describe_histogram(const HistogramValues& values, Json& into) {
  into["count"] = values.count();
  into["sum"] = to_seconds(values.nanoseconds);
  for (const auto& [name, part] : {std::pair("p50", 0.5), std::pair("p99", 0.99)}) {
    const auto quantile = values.quantile(part);
    into[name] = quantile ? Json(to_seconds(*quantile)) : Json();
  }
  Json& buckets = into["buckets"] = Json::array();
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < HistogramBuckets::bounds; ++bucket) {
    if (values.buckets[bucket] == 0) continue;
    below += values.buckets[bucket];
    buckets.push_back({{"le", to_seconds(HistogramBuckets::bound(bucket))}, {"count", below}});
  }
}

std::string_view to_string(manage::MetricKind kind) {
  if (kind == manage::MetricKind::histogram) return "histogram";
  return kind == manage::MetricKind::counter ? "counter" : "gauge";
}

Json describe_metrics(const manage::MetricSet& set) {
  Json result = Json::array();
  for (const auto& [name, family] : set.families()) {
    Json values = Json::array();
    for (const manage::Metric& metric : family.metrics) {
      Json value{{"labels", Json::object()}};
      for (const auto& [label, text] : metric.labels) value["labels"][std::string(label)] = text;
      if (family.kind == manage::MetricKind::histogram)
        describe_histogram(metric.histogram, value);
      else
        value["value"] = metric.value;
      values.push_back(std::move(value));
    }
    result.push_back({{"name", name},
                      {"kind", to_string(family.kind)},
                      {"help", family.help},
                      {"values", std::move(values)}});
  }
  return result;
}

}  // namespace

std::string describe_parents(const mdev::Bus& bus) {
  const auto counts = count_instances(bus);
  Json result = Json::array();
  for (const auto& parent : bus.parents()) {
    Json types = Json::array();
    std::uint32_t instances = 0;
    for (const auto& type : parent->types()) {
      types.push_back(type->id());
      const auto count = counts.find(type.get());
      if (count != counts.end()) instances += count->second;
    }
    result.push_back({{"name", parent->name()},
                      {"path", parent->device()->path()},
                      {"types", std::move(types)},
                      {"instances", instances}});
  }
  return to_text(result);
}

std::string describe_types(const mdev::Bus& bus) {
  const auto counts = count_instances(bus);
  Json result = Json::array();
  for (const auto& parent : bus.parents()) {
    for (const auto& type : parent->types()) {
      const auto count = counts.find(type.get());
      result.push_back({{"parent", parent->name()},
                        {"type", type->id()},
                        {"name", type->pretty_name()},
                        {"description", type->spec().description},
                        {"device_api", type->spec().device_api},
                        {"available_instances", type->available()},
                        {"instances", count != counts.end() ? count->second : 0}});
    }
  }
  return to_text(result);
}

std::string describe_instances(const mdev::Bus& bus, const Doors& doors) {
  Json result = Json::array();
  for (const auto& instance : bus.instances()) result.push_back(describe_briefly(bus, doors, *instance));
  return to_text(result);
}

Result<std::string> describe_instance(const mdev::Bus& bus, const Doors& doors, const Uuid& uuid,
                                      const std::vector<manage::DefinitionReport>& definitions) {
  const auto instance = UMDEV_TRY(bus.find(uuid));
  Json result = describe_briefly(bus, doors, *instance);
  result["name"] = instance->type().pretty_name();
  result["device_api"] = instance->type().spec().device_api;
  result["path"] = instance->path();
  describe_device(*instance, result);
  result["sessions"] = Json::array();
  for (const SessionReport& session : doors.sessions())
    if (session.device == instance->name()) result["sessions"].push_back(describe_session(session));
  for (const manage::DefinitionReport& definition : definitions)
    if (definition.key.parent == instance->mdev_parent().name())
      result["definition"] = Json::parse(describe_definitions({definition}), nullptr, false).front();
  return to_text(result);
}

std::string describe_status(const mdev::Bus& bus, const Doors& doors, std::string_view version,
                            const manage::MetricSet& metrics) {
  Json result{{"version", version},
              {"pid", ::getpid()},
              {"parents", bus.parents().size()},
              {"instances", bus.instances().size()},
              {"sessions", Json::array()}};
  for (const SessionReport& session : doors.sessions())
    result["sessions"].push_back(describe_session(session));
  for (const NumberGroup& group : doors.numbers()) {
    Json& numbers = result[group.name] = Json::object();
    for (const auto& [name, number] : group.numbers) numbers[name] = number;
  }
  result["metrics"] = describe_metrics(metrics);
  return to_text(result);
}

}  // namespace umdev::control
