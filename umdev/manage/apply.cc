#include "umdev/manage/apply.h"

#include <algorithm>
#include <memory>
#include <set>

#include "umdev/os/random_uuid.h"
#include "umdev/support/awaited.h"

namespace umdev::manage {
namespace {

constexpr std::size_t side_by_side = 16;

// The outcome of what `begin` begins, for a thread that may wait.
template <typename Begin>
Result<> wait_for(Begin begin) {
  const auto awaited = std::make_shared<Awaited<>>();
  begin(Done<>([awaited](Result<> outcome) { awaited->complete(outcome); }));
  return awaited->wait();
}

std::string explain(const Error& error) {
  return std::string(error.text) + " (" + std::string(errno_name(error.code)) + ")";
}

bool is_used(const mdev::Bus& bus, const Uuid& uuid) {
  const auto instance = bus.find(uuid);
  const auto device = instance ? (*instance)->vfio_device() : nullptr;
  return device && device->open_count() > 0;
}

}  // namespace

// --- Looking.

Result<> Applier::check_set(const Asker& asker, const DesiredState& desired) const {
  for (const auto& [key, mark] : UMDEV_TRY(world_.definitions->marks_of(desired.set)))
    if (!may_change(asker.uid, mark.uid, world_.definitions->uid()))
      return fail(EPERM, "the set is another user's");
  return {};
}

Result<KnownHost> Applier::look() const {
  KnownHost host;
  for (const auto& parent : world_.bus->parents())
    for (const auto& type : parent->types()) host.types.emplace_back(parent->name(), type->id());
  for (DefinitionReport& report : UMDEV_TRY(world_.definitions->list())) {
    if (!report.stranger.empty()) continue;
    const bool active = report.state == DefinitionState::active;
    host.devices.push_back({.key = report.key,
                            .type = std::move(report.definition.type),
                            .set = std::move(report.mark.set),
                            .defined = true,
                            .active = active,
                            .used = active && is_used(*world_.bus, report.key.uuid),
                            .start = report.definition.start,
                            .attributes = std::move(report.definition.attributes)});
  }
  add_undefined(host);
  return host;
}

// What is there and not defined. It is still the set's when it was started for it: somebody may have taken
// its definition away with another tool.
void Applier::add_undefined(KnownHost& host) const {
  std::set<DefinitionKey> defined;
  for (const KnownDevice& device : host.devices) defined.insert(device.key);
  for (const auto& instance : world_.bus->instances()) {
    const DefinitionKey key{.parent = instance->mdev_parent().name(), .uuid = instance->uuid()};
    if (defined.contains(key)) continue;
    Mark mark = world_.definitions->mark_of(key);
    const bool ours = instance->owner().door == "definition" && instance->owner().uid == mark.uid;
    host.devices.push_back({.key = key,
                            .type = instance->type().id(),
                            .set = ours ? std::move(mark.set) : std::string(),
                            .defined = false,
                            .active = true,
                            .used = is_used(*world_.bus, key.uuid),
                            .attributes = {}});
  }
}

// Marks of devices that are neither defined nor there.
void Applier::forget_leftovers(const DesiredState& desired, const KnownHost& host) {
  const auto marks = world_.definitions->marks_of(desired.set);
  if (!marks) return;
  for (const auto& [key, mark] : *marks) {
    const bool known = std::any_of(host.devices.begin(), host.devices.end(),
                                   [&](const KnownDevice& device) { return device.key == key; });
    // What cannot be forgotten is tried again next time.
    if (!known) (void)world_.definitions->forget_mark(key);
  }
}

Result<ApplyReport> Applier::plan(const Asker& asker, const DesiredState& desired) const {
  UMDEV_TRY(check_set(asker, desired));
  const auto host = UMDEV_TRY(look());
  Plan plan = make_plan(desired, host);
  ApplyReport report{.set = desired.set, .problems = std::move(plan.problems), .steps = {}};
  for (Step& step : plan.steps) report.steps.push_back({.step = std::move(step), .error = {}});
  return report;
}

// --- Doing.

class Applier::Run {
 public:
  Run(const World& world, const Asker& asker, std::string set)
      : world_(world), asker_(asker), set_(std::move(set)) {}

  // Side by side, but not so many that other work of the executor waits behind them. Ends when all have, or
  // when the executor has dropped them.
  void carry_out(std::vector<StepReport*> steps) {
    struct Queue {
      std::vector<StepReport*> steps;
      std::atomic<std::size_t> next = 0;
      Done<> ended;
    };
    [[maybe_unused]] const Result<> ended = wait_for([&](Done<> done) {
      const auto queue = std::make_shared<Queue>();
      queue->steps = std::move(steps);
      queue->ended = std::move(done);  // when the last piece of work lets go of it
      for (std::size_t worker = 0; worker < std::min(side_by_side, queue->steps.size()); ++worker)
        world_.executor->post([this, queue] {
          for (;;) {
            const std::size_t index = queue->next.fetch_add(1);
            if (index >= queue->steps.size()) return;
            carry_out(*queue->steps[index]);
          }
        });
    });
  }

 private:
  void carry_out(StepReport& report) {
    Step& step = report.step;
    if (!step.uuid) step.uuid = os::random_uuid();
    const Result<> result = carry_out(step);
    report.done = result.has_value();
    report.error = result ? std::string() : explain(result.error());
  }

  Result<> carry_out(const Step& step) {
    Definitions& definitions = *world_.definitions;
    const DefinitionChange change{.type = {}, .start = step.start, .attributes = step.attributes};
    switch (step.kind) {
      case Step::Kind::remove:
        UMDEV_TRY(stop(step));
        return forget(step);
      case Step::Kind::change:
        return definitions.modify(asker_, *step.uuid, step.parent, change);
      case Step::Kind::restart:
        UMDEV_TRY(stop(step));
        UMDEV_TRY(definitions.modify(asker_, *step.uuid, step.parent, change));
        return start(step);
      case Step::Kind::start:
        return start(step);
      case Step::Kind::define:
        return define(step);
      case Step::Kind::create:
        return create(step);
    }
    return fail(EINVAL, "there is no such step");
  }

  // One that is not there, or is something else's by now, is left alone.
  Result<> stop(const Step& step) {
    const auto instance = world_.bus->find(*step.uuid);
    if (!instance) return instance.error().code == ENODEV ? Result<>{} : std::unexpected(instance.error());
    if ((*instance)->mdev_parent().name() != step.parent) return {};
    if (!may_change(asker_.uid, (*instance)->owner().uid, world_.definitions->uid()))
      return fail(EPERM, "the device is another user's");
    const Result<> removed =
        wait_for([&](Done<> done) { world_.bus->remove(*step.uuid, RemovePolicy::busy, std::move(done)); });
    return !removed && removed.error().code == ENODEV ? Result<>{} : removed;
  }

  Result<> forget(const Step& step) {
    const Result<> undefined = world_.definitions->undefine(asker_, *step.uuid, step.parent);
    if (undefined || undefined.error().code != ENOENT) return undefined;
    return world_.definitions->forget_mark({.parent = step.parent, .uuid = *step.uuid});
  }

  Result<> define(const Step& step) {
    return world_.definitions->define(asker_, *step.uuid, step.parent,
                                      {.type = step.type, .start = step.start, .attributes = step.attributes},
                                      set_);
  }

  Result<> start(const Step& step) {
    return wait_for(
        [&](Done<> done) { world_.definitions->start(asker_, *step.uuid, step.parent, std::move(done)); });
  }

  // What cannot be started is not left behind as a promise.
  Result<> create(const Step& step) {
    UMDEV_TRY(define(step));
    Result<> started = start(step);
    if (!started) (void)world_.definitions->undefine(asker_, *step.uuid, step.parent);
    return started;
  }

  const World world_;
  const Asker asker_;
  const std::string set_;
};

Result<ApplyReport> Applier::apply(const Asker& asker, const DesiredState& desired) {
  if (applying_.exchange(true)) return fail(EAGAIN, "another apply is under way");
  struct Ending {
    std::atomic<bool>& applying;
    ~Ending() { applying = false; }
  } ending{applying_};
  UMDEV_TRY(check_set(asker, desired));
  forget_leftovers(desired, UMDEV_TRY(look()));
  auto report = UMDEV_TRY(plan(asker, desired));
  if (!report.problems.empty()) return report;
  for (StepReport& step : report.steps) step.error = "not tried: the daemon ends (ECANCELED)";
  Run run(world_, asker, desired.set);
  for (const bool removals : {true, false}) {
    std::vector<StepReport*> steps;
    for (StepReport& step : report.steps)
      if ((step.step.kind == Step::Kind::remove) == removals) steps.push_back(&step);
    run.carry_out(std::move(steps));
  }
  return report;
}

}  // namespace umdev::manage
