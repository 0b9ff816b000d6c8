#include "umdev/pci/virtual_functions.h"

#include <atomic>
#include <cstdio>
#include <utility>

#include "umdev/pci/pci_device.h"
#include "umdev/pci/virtual_function.h"
#include "umdev/support/parse.h"

namespace umdev::pci {
namespace {

using device::DeviceAttribute;

// Completes when all that was begun has ended, with the first error.
class Countdown {
 public:
  explicit Countdown(Done<> done) : done_(std::move(done)) {}
  void begin() { left_.fetch_add(1); }
  void end(const Result<>& result) {
    if (!result) {
      Lock lock(mutex_);
      if (result_) result_ = result;
    }
    if (left_.fetch_sub(1) != 1) return;
    Result<> first;
    {
      Lock lock(mutex_);
      first = result_;
    }
    done_(std::move(first));
  }

 private:
  std::atomic<std::size_t> left_ = 1;  // whoever begins the others ends too
  Mutex mutex_;
  Result<> result_ UMDEV_GUARDED_BY(mutex_);
  Done<> done_;
};

VirtualFunctions& functions_of(device::Device& device) {
  return *PciFunction::from(device).virtual_functions();
}

enum class Number : std::uint8_t { total, count, offset, stride, device, msix, autoprobe };
constexpr Number total = Number::total;
constexpr Number count = Number::count;
constexpr Number offset = Number::offset;
constexpr Number stride = Number::stride;
constexpr Number device_id = Number::device;
constexpr Number msix = Number::msix;
constexpr Number autoprobe = Number::autoprobe;

std::size_t number(const VirtualFunctions& functions, Number which) {
  const SriovCapability& sriov = functions.sriov();
  switch (which) {
    case Number::total:
      return sriov.total;
    case Number::count:
      return functions.count();
    case Number::offset:
      return sriov.first_offset;
    case Number::stride:
      return sriov.stride;
    case Number::device:
      return sriov.device;
    case Number::autoprobe:
      return functions.drivers_autoprobe() ? 1 : 0;
    case Number::msix:  // how many vectors may be moved between them: it has no such thing
      break;
  }
  return 0;
}

Result<std::string> show_number(device::Device& device, const DeviceAttribute& attribute) {
  const Number which = *static_cast<const Number*>(attribute.context);
  char text[24];
  const int written = std::snprintf(text, sizeof text, which == device_id ? "%zx\n" : "%zu\n",
                                    number(functions_of(device), which));
  return std::string(text, static_cast<std::size_t>(written));
}

void store_count(device::Device& device, const DeviceAttribute&, std::string_view text,
                 Done<std::size_t> done) {
  const auto wanted = parse_number(text);
  if (!wanted || *wanted > UINT16_MAX) return done(fail(EINVAL, "not a number of 16 bits"));
  auto of = std::static_pointer_cast<PciFunction>(device.shared_from_this());
  auto stored = std::make_shared<Done<std::size_t>>(std::move(done));
  functions_of(device).set_count(of, *wanted, [stored, size = text.size()](Result<> result) {
    (*stored)(result ? Result<std::size_t>(size) : std::unexpected(result.error()));
  });
}

// Whatever it says, vfio-pci takes the virtual functions of its own physical function.
void store_autoprobe(device::Device& device, const DeviceAttribute&, std::string_view text,
                     Done<std::size_t> done) {
  const auto wanted = parse_bool(text);
  if (!wanted) return done(std::unexpected(wanted.error()));
  functions_of(device).set_drivers_autoprobe(*wanted);
  done(text.size());
}

constexpr DeviceAttribute table[] = {
    {.name = "sriov_totalvfs", .show = show_number, .context = &total},
    {.name = "sriov_numvfs", .mode = 0644, .show = show_number, .store = store_count, .context = &count},
    {.name = "sriov_offset", .show = show_number, .context = &offset},
    {.name = "sriov_stride", .show = show_number, .context = &stride},
    {.name = "sriov_vf_device", .show = show_number, .context = &device_id},
    {.name = "sriov_vf_total_msix", .show = show_number, .context = &msix},
    {.name = "sriov_drivers_autoprobe",
     .mode = 0644,
     .show = show_number,
     .store = store_autoprobe,
     .context = &autoprobe},
};
constexpr device::AttributeGroup group{.attributes = table};

}  // namespace

struct VirtualFunctions::Change {
  std::shared_ptr<PciFunction> of;
  std::size_t count = 0;
  Done<> done;

  void end(Result<> result, Done<>& ended) {
    done(std::move(result));
    ended();
  }
};

const device::AttributeGroup& VirtualFunctions::attributes() {
  return group;
}

std::size_t VirtualFunctions::count() const {
  Lock lock(mutex_);
  return functions_.size();
}

std::vector<std::shared_ptr<PciFunction>> VirtualFunctions::functions() const {
  Lock lock(mutex_);
  return functions_;
}

void VirtualFunctions::set_count(std::shared_ptr<PciFunction> of, std::size_t count, Done<> done) {
  if (count > sriov_.total) return done(fail(ERANGE, "the function has not so many virtual functions"));
  auto wanted =
      std::make_shared<Change>(Change{.of = std::move(of), .count = count, .done = std::move(done)});
  changes_->post([this, wanted](Done<> ended) { change(wanted, std::move(ended)); });
}

void VirtualFunctions::change(const std::shared_ptr<Change>& change, Done<> ended) {
  const std::size_t present = count();
  if (change->count == present) return change->end({}, ended);
  if (!change->of->is_bound()) return change->end(fail(ENOENT, "the function has no driver"), ended);
  if (change->count != 0 && present != 0)
    return change->end(fail(EBUSY, "the function has virtual functions already"), ended);
  if (change->count != 0) return enable(change, std::move(ended));
  auto kept = std::make_shared<Done<>>(std::move(ended));
  disable(RemovePolicy::wait, [change, kept](Result<> result) { change->end(std::move(result), *kept); });
}

void VirtualFunctions::enable(const std::shared_ptr<Change>& change, Done<> ended) {
  const auto layout = VirtualFunction::layout_of(physical_, world_.core.host());
  if (!layout) return change->end(std::unexpected(layout.error()), ended);
  show_count(change->count);
  auto kept = std::make_shared<Done<>>(std::move(ended));
  auto probes = std::make_shared<Countdown>([this, change, kept](Result<> result) {
    if (result) {
      change->of->emit(device::Action::change);
      return change->end({}, *kept);
    }
    struct Undoing {
      std::shared_ptr<Change> change;
      std::shared_ptr<Done<>> ended;
      Error error;
    };
    auto undoing = std::make_shared<Undoing>(Undoing{change, kept, result.error()});
    disable(RemovePolicy::force,
            [undoing](Result<>) { undoing->change->end(std::unexpected(undoing->error), *undoing->ended); });
  });
  Result<> added;
  for (std::size_t number = 0; added && number < change->count; ++number) {
    // What a driver says is not the matter of who makes the function.
    probes->begin();
    added = add(change->of, *layout, number, [probes](Result<>) { probes->end({}); });
  }
  probes->end(added);
}

Result<> VirtualFunctions::add(const std::shared_ptr<PciFunction>& of, const ConfigLayout& layout,
                               std::size_t number, Done<> probed) {
  const auto behind = static_cast<unsigned>(sriov_.first_offset + number * sriov_.stride);
  const Address address = UMDEV_TRY(of->address().behind(behind));
  const PciFunction::Place place{.model = world_.model,
                                 .root = UMDEV_TRY(world_.root_of(address)),
                                 .bus = world_.bus,
                                 .address = address};
  auto function = std::make_shared<VirtualFunction>(place, layout, world_.core, physical_, of->path());
  // As vfio-pci does to the virtual functions of its own physical function.
  function->set_driver_override(of->driver() ? std::string(of->driver()->name()) : std::string());
  UMDEV_TRY(function->show(std::move(probed)));
  tree::Transaction transaction(of->directory().tree());
  transaction.add_link_to_path(of->directory(), "virtfn" + std::to_string(number), function->path());
  auto link = transaction.commit();
  Lock lock(mutex_);
  functions_.push_back(function);
  if (link) links_.push_back(std::move(*link));
  return {};
}

void VirtualFunctions::remove_all(RemovePolicy policy, Done<> done) {
  struct Removal {
    RemovePolicy policy;
    Done<> done;
    Done<> ended;
  };
  auto removal = std::make_shared<Removal>(Removal{policy, std::move(done), {}});
  changes_->post([this, removal](Done<> ended) {
    if (removal->policy == RemovePolicy::busy && count() != 0) {
      removal->done(fail(EBUSY, "the function has virtual functions"));
      return ended();
    }
    removal->ended = std::move(ended);
    disable(removal->policy, [removal](Result<>) {
      removal->done();
      removal->ended();
    });
  });
}

// One that is gone already has been forced meanwhile.
void VirtualFunctions::disable(RemovePolicy policy, Done<> done) {
  std::vector<tree::NodeHandle> links;
  {
    Lock lock(mutex_);
    links.swap(links_);
  }
  for (tree::NodeHandle& link : links) link.remove();
  auto kept = std::make_shared<Done<>>(std::move(done));
  auto removals = std::make_shared<Countdown>([this, kept](Result<>) {
    show_count(0);
    {
      Lock lock(mutex_);
      functions_.clear();
    }
    (*kept)();
  });
  for (const auto& function : functions()) {
    removals->begin();
    function->remove(policy, [removals](Result<>) { removals->end({}); });
  }
  removals->end({});
}

void VirtualFunctions::force() {
  for (const auto& function : functions()) function->remove(RemovePolicy::force, [](Result<>) {});
}

// Of a device that has gone there is nothing to show.
void VirtualFunctions::show_count(std::size_t count) const {
  const auto stay = physical_->enter();
  const auto reference = vfio::DeviceRef::try_get(physical_);
  if (auto* const device = reference ? dynamic_cast<PciDevice*>(&physical_->device()) : nullptr)
    device->show_virtual_functions(static_cast<std::uint16_t>(count));
}

}  // namespace umdev::pci
