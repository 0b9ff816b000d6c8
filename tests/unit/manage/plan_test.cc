#include "umdev/manage/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstdio>

namespace umdev::manage {
namespace {

using testing::ElementsAre;

Uuid uuid(unsigned n) {
  char text[Uuid::text_length + 1];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", n);
  return Uuid::parse(text).value();
}

KnownDevice device(unsigned n, const std::string& set = "ci", const std::string& type = "mtty-1") {
  return {.key = {.parent = "mtty", .uuid = uuid(n)},
          .type = type,
          .set = set,
          .defined = true,
          .active = true,
          .start = Start::automatic};
}
DesiredGroup some(std::uint32_t count, const std::string& type = "mtty-1") {
  return {.parent = "mtty", .type = type, .count = count};
}
DesiredGroup these(const std::vector<unsigned>& numbers, const std::string& type = "mtty-1") {
  DesiredGroup group{.parent = "mtty", .type = type};
  for (const unsigned n : numbers) group.uuids.push_back(uuid(n));
  return group;
}
Plan plan(std::vector<DesiredGroup> groups, std::vector<KnownDevice> devices) {
  return make_plan(
      {.set = "ci", .groups = std::move(groups)},
      {.types = {{"mtty", "mtty-1"}, {"mtty", "mtty-2"}, {"null", "null-1"}}, .devices = std::move(devices)});
}
// "remove 1", "create", ...
std::vector<std::string> words(const Plan& plan) {
  std::vector<std::string> words;
  for (const Step& step : plan.steps) {
    std::string word(to_string(step.kind));
    if (step.uuid) word += " " + step.uuid->to_string().substr(7, 1);
    words.push_back(std::move(word));
  }
  return words;
}

TEST(MakePlan, What_is_as_desired_needs_nothing) {
  EXPECT_TRUE(plan({}, {}).steps.empty());
  EXPECT_TRUE(plan({some(2)}, {device(1), device(2)}).steps.empty());
  EXPECT_TRUE(plan({these({1}), some(1)}, {device(1), device(2)}).steps.empty());
}

TEST(MakePlan, Makes_what_is_missing) {
  EXPECT_THAT(words(plan({some(2)}, {device(1)})), ElementsAre("create"));
  EXPECT_THAT(words(plan({these({1, 2})}, {device(2)})), ElementsAre("create 1"));
}

TEST(MakePlan, Removes_what_is_not_wanted_and_that_first) {
  EXPECT_THAT(words(plan({some(1, "mtty-2")}, {device(1)})), ElementsAre("remove 1", "create"));
  EXPECT_THAT(words(plan({}, {device(1), device(2)})), ElementsAre("remove 1", "remove 2"));
}

TEST(MakePlan, Keeps_what_is_used_then_what_is_there_then_the_first) {
  auto used = device(3);
  used.used = true;
  auto stopped = device(1);
  stopped.active = false;
  EXPECT_THAT(words(plan({some(1)}, {stopped, device(2), used})), ElementsAre("remove 1", "remove 2"));
  EXPECT_THAT(words(plan({some(1)}, {stopped, device(2)})), ElementsAre("remove 1"));
  EXPECT_THAT(words(plan({some(1)}, {device(2), device(1)})), ElementsAre("remove 2"));
}

TEST(MakePlan, Gives_each_count_what_fits_it_exactly) {
  auto fast = some(1);
  fast.attributes = {{"speed", "9"}};
  auto is_fast = device(2);
  is_fast.attributes = fast.attributes;
  EXPECT_TRUE(plan({fast, some(1)}, {device(1), is_fast}).steps.empty());
}

TEST(MakePlan, Starts_what_is_defined_and_defines_what_is_there) {
  auto stopped = device(1);
  stopped.active = false;
  auto undefined = device(2);
  undefined.defined = false;
  EXPECT_THAT(words(plan({some(2)}, {stopped, undefined})),
              testing::UnorderedElementsAre("start 1", "define 2"));
}

TEST(MakePlan, Attributes_that_differ_need_a_restart_and_autostart_does_not) {
  auto changed = these({1});
  changed.attributes = {{"speed", "9"}};
  EXPECT_THAT(words(plan({changed}, {device(1)})), ElementsAre("restart 1"));
  auto stopped = device(1);
  stopped.active = false;
  EXPECT_THAT(words(plan({changed}, {stopped})), ElementsAre("change 1", "start 1"));
  auto manual = these({1});
  manual.start = Start::manual;
  const auto result = plan({manual}, {device(1)});
  EXPECT_THAT(words(result), ElementsAre("change 1"));
  EXPECT_EQ(result.steps[0].start, Start::manual);
}

TEST(MakePlan, A_named_device_of_another_type_is_replaced) {
  EXPECT_THAT(words(plan({these({1}, "mtty-2")}, {device(1)})), ElementsAre("remove 1", "create 1"));
}

TEST(MakePlan, Never_takes_what_is_not_the_sets) {
  EXPECT_THAT(words(plan({some(1)}, {device(1, "lab"), device(2, "")})), ElementsAre("create"));
  for (const char* set : {"lab", ""}) {
    const auto result = plan({these({1, 2}), some(3)}, {device(1, set)});
    EXPECT_TRUE(result.steps.empty());
    ASSERT_EQ(result.problems.size(), 1U);
    EXPECT_EQ(result.problems[0].find(uuid(1).to_string() + " is not of the set ci"), 0U);
  }
}

TEST(MakePlan, A_parent_or_type_that_is_not_there_is_a_problem_and_nothing_is_done) {
  auto nowhere = some(1);
  nowhere.parent = "none";
  EXPECT_THAT(plan({nowhere, some(1)}, {device(9)}).problems, ElementsAre("there is no parent none"));
  EXPECT_TRUE(plan({nowhere, some(1)}, {}).steps.empty());
  EXPECT_THAT(plan({some(1, "mtty-3")}, {}).problems, ElementsAre("the parent mtty has no type mtty-3"));
}

// --- A host on which every step succeeds, as a plain list.

void carry_out(const Step& step, std::vector<KnownDevice>& devices, unsigned& next) {
  const auto found = std::find_if(devices.begin(), devices.end(), [&](const KnownDevice& known) {
    return step.uuid && known.key == DefinitionKey{.parent = step.parent, .uuid = *step.uuid};
  });
  if (step.kind == Step::Kind::create) {
    RC_ASSERT(found == devices.end());
    devices.push_back({.key = {.parent = step.parent, .uuid = step.uuid.value_or(uuid(next++))},
                       .type = step.type,
                       .set = "ci",
                       .defined = true,
                       .active = true,
                       .start = step.start,
                       .attributes = step.attributes});
    return;
  }
  RC_ASSERT(found != devices.end());
  RC_ASSERT(found->set == "ci");
  if (step.kind == Step::Kind::remove) {
    devices.erase(found);
    return;
  }
  if (step.kind != Step::Kind::start) {
    found->defined = true;
    found->start = step.start;
    found->attributes = step.attributes;
  }
  found->active = true;
}

mdev::Attributes any_attributes() {
  return *rc::gen::inRange(0, 3) == 0 ? mdev::Attributes{{"speed", "9"}} : mdev::Attributes{};
}

std::vector<KnownDevice> any_devices() {
  std::vector<KnownDevice> devices;
  const auto number = *rc::gen::inRange(0U, 12U);
  for (unsigned n = 1; n <= number; ++n) {
    auto one = device(n, *rc::gen::element<std::string>("ci", "ci", "lab", ""),
                      *rc::gen::element<std::string>("mtty-1", "mtty-2"));
    one.defined = *rc::gen::arbitrary<bool>();
    one.active = !one.defined || *rc::gen::arbitrary<bool>();
    one.used = one.active && *rc::gen::arbitrary<bool>();
    one.start = *rc::gen::arbitrary<bool>() ? Start::automatic : Start::manual;
    one.attributes = any_attributes();
    devices.push_back(std::move(one));
  }
  return devices;
}

std::vector<DesiredGroup> any_groups(const std::vector<KnownDevice>& devices) {
  std::vector<DesiredGroup> groups;
  unsigned unclaimed = 1;
  const auto number = *rc::gen::inRange(0, 4);
  for (int index = 0; index < number; ++index) {
    auto group = some(*rc::gen::inRange(0U, 6U), *rc::gen::element<std::string>("mtty-1", "mtty-2"));
    if (*rc::gen::arbitrary<bool>()) {
      for (unsigned n = 0; n < 3; ++n, ++unclaimed) {
        const bool foreign = unclaimed <= devices.size() && devices[unclaimed - 1].set != "ci";
        if (!foreign) group.uuids.push_back(uuid(unclaimed));
      }
    }
    group.start = *rc::gen::arbitrary<bool>() ? Start::automatic : Start::manual;
    group.attributes = any_attributes();
    groups.push_back(std::move(group));
  }
  return groups;
}

TEST(MakePlan, Leads_to_what_is_desired_and_then_to_nothing_and_touches_nobody_elses) {
  EXPECT_TRUE(rc::check([] {
    auto devices = any_devices();
    const auto before = devices;
    const auto groups = any_groups(devices);
    const auto first = plan(groups, devices);
    RC_ASSERT(first.problems.empty());
    unsigned next = 1000;
    for (const Step& step : first.steps) carry_out(step, devices, next);
    RC_ASSERT(plan(groups, devices).steps.empty());
    std::size_t wanted = 0;
    for (const DesiredGroup& group : groups) {
      wanted += group.uuids.empty() ? group.count : group.uuids.size();
      for (const Uuid& named : group.uuids)
        RC_ASSERT(std::any_of(devices.begin(), devices.end(), [&](const KnownDevice& known) {
          return known.key.uuid == named && known.type == group.type && known.active && known.defined &&
                 known.start == group.start && known.attributes == group.attributes;
        }));
    }
    const auto owned = [](const KnownDevice& known) { return known.set == "ci"; };
    RC_ASSERT(static_cast<std::size_t>(std::count_if(devices.begin(), devices.end(), owned)) == wanted);
    for (const KnownDevice& known : before)
      RC_ASSERT(owned(known) || std::find(devices.begin(), devices.end(), known) != devices.end());
  }));
}

}  // namespace
}  // namespace umdev::manage
