#include "umdev/manage/plan.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace umdev::manage {
namespace {

class Planner {
 public:
  Planner(const DesiredState& desired, const KnownHost& host) : desired_(desired), host_(host) {
    for (const KnownDevice& device : host.devices) {
      if (device.set == desired.set)
        owned_.emplace(device.key.uuid, Owned{.device = &device});
      else
        foreign_.emplace(device.key.uuid, &device);
    }
  }

  Plan make() {
    for (const DesiredGroup& group : desired_.groups) check(group);
    if (!plan_.problems.empty()) return std::move(plan_);
    // Those that are named come first, so that no count takes them.
    for (const DesiredGroup& group : desired_.groups)
      for (const Uuid& uuid : group.uuids) claim(uuid, group);
    for (const bool only_exact : {true, false})
      for (const DesiredGroup& group : desired_.groups)
        if (group.uuids.empty()) claim_some(group, only_exact);
    for (const DesiredGroup& group : desired_.groups)
      if (group.uuids.empty())
        for (std::uint32_t number = claims_[&group]; number < group.count; ++number) create(group, {});
    add_removals();
    for (auto* steps : {&removals_, &changes_, &creations_})
      plan_.steps.insert(plan_.steps.end(), steps->begin(), steps->end());
    return std::move(plan_);
  }

 private:
  struct Owned {
    const KnownDevice* device = nullptr;
    bool claimed = false;
  };

  void check(const DesiredGroup& group) {
    const auto has = [&](const auto& fits) {
      return std::any_of(host_.types.begin(), host_.types.end(), fits);
    };
    if (!has([&](const auto& known) { return known.first == group.parent; }))
      return add_problem("there is no parent " + group.parent);
    if (!has([&](const auto& known) { return known.first == group.parent && known.second == group.type; }))
      return add_problem("the parent " + group.parent + " has no type " + group.type);
    for (const Uuid& uuid : group.uuids) {
      const auto found = foreign_.find(uuid);
      if (found == foreign_.end()) continue;
      const std::string& set = found->second->set;
      add_problem(uuid.to_string() + " is not of the set " + desired_.set + ": it is " +
                  (set.empty() ? "of no set" : "of the set " + set));
    }
  }
  void add_problem(std::string text) {
    auto& problems = plan_.problems;
    if (std::find(problems.begin(), problems.end(), text) == problems.end())
      problems.push_back(std::move(text));
  }

  static bool is_of(const KnownDevice& device, const DesiredGroup& group) {
    return device.key.parent == group.parent && device.type == group.type;
  }
  static bool is_exact(const KnownDevice& device, const DesiredGroup& group) {
    return device.defined && device.start == group.start && device.attributes == group.attributes;
  }

  void claim(const Uuid& uuid, const DesiredGroup& group) {
    const auto found = owned_.find(uuid);
    if (found == owned_.end()) return create(group, uuid);
    found->second.claimed = true;
    if (!is_of(*found->second.device, group)) {
      remove(*found->second.device);
      return create(group, uuid);
    }
    adjust(*found->second.device, group);
  }

  void claim_some(const DesiredGroup& group, bool only_exact) {
    std::vector<Owned*> candidates;
    for (auto& [uuid, owned] : owned_) {
      if (owned.claimed || !is_of(*owned.device, group)) continue;
      if (!only_exact || is_exact(*owned.device, group)) candidates.push_back(&owned);
    }
    const auto rank = [](const Owned* owned) {
      return std::tuple(!owned->device->used, !owned->device->active, owned->device->key.uuid);
    };
    std::sort(candidates.begin(), candidates.end(),
              [&](const Owned* left, const Owned* right) { return rank(left) < rank(right); });
    std::uint32_t& claimed = claims_[&group];
    for (Owned* owned : candidates) {
      if (claimed == group.count) return;
      ++claimed;
      owned->claimed = true;
      adjust(*owned->device, group);
    }
  }

  void adjust(const KnownDevice& device, const DesiredGroup& group) {
    const auto add = [&](Step::Kind kind) { changes_.push_back(make_step(kind, group, device.key.uuid)); };
    if (!device.defined) return add(Step::Kind::define);
    if (device.active && device.attributes != group.attributes) return add(Step::Kind::restart);
    if (!is_exact(device, group)) add(Step::Kind::change);
    if (!device.active) add(Step::Kind::start);
  }

  void create(const DesiredGroup& group, std::optional<Uuid> uuid) {
    creations_.push_back(make_step(Step::Kind::create, group, uuid));
  }

  void add_removals() {
    for (const auto& [uuid, owned] : owned_)
      if (!owned.claimed) remove(*owned.device);
  }

  void remove(const KnownDevice& device) {
    removals_.push_back({.kind = Step::Kind::remove,
                         .parent = device.key.parent,
                         .uuid = device.key.uuid,
                         .type = device.type,
                         .attributes = {}});
  }

  static Step make_step(Step::Kind kind, const DesiredGroup& group, std::optional<Uuid> uuid) {
    return {.kind = kind,
            .parent = group.parent,
            .uuid = uuid,
            .type = group.type,
            .start = group.start,
            .attributes = group.attributes};
  }

  const DesiredState& desired_;
  const KnownHost& host_;
  std::map<Uuid, Owned> owned_;
  std::map<Uuid, const KnownDevice*> foreign_;
  std::map<const DesiredGroup*, std::uint32_t> claims_;
  Plan plan_;
  std::vector<Step> removals_;
  std::vector<Step> changes_;
  std::vector<Step> creations_;
};

}  // namespace

std::string_view to_string(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::remove:
      return "remove";
    case Step::Kind::change:
      return "change";
    case Step::Kind::restart:
      return "restart";
    case Step::Kind::start:
      return "start";
    case Step::Kind::define:
      return "define";
    case Step::Kind::create:
      return "create";
  }
  return "?";
}

Plan make_plan(const DesiredState& desired, const KnownHost& host) {
  return Planner(desired, host).make();
}

}  // namespace umdev::manage
