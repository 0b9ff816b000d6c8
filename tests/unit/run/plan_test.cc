#include "umdev/run/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "tests/unit/run/fake_filesystem.h"

namespace umdev::run {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

const std::string tree = "/run/umdev/sys";

// A machine without VFIO, and the tree of a daemon with one serial card.
FakeFilesystem plain_host() {
  FakeFilesystem host;
  host.directory("/sys/class/net").link("/sys/class/net/lo", "../../devices/virtual/net/lo");
  host.directory("/sys/bus/pci/devices").directory("/sys/devices/virtual/net/lo");
  host.directory("/sys/kernel/iommu_groups").file("/sys/kernel/notes").directory("/sys/module/kvm");
  for (const char* name : {"class/vfio", "class/vfio-dev", "bus/mdev/devices", "kernel/iommu_groups"})
    host.directory(tree + "/" + name);
  host.directory(tree + "/devices/virtual/mtty/mtty/mdev_supported_types");
  host.link(tree + "/class/mdev_bus/mtty", "../../devices/virtual/mtty/mtty");
  host.link(tree + "/class/mtty/mtty", "../../devices/virtual/mtty/mtty");
  return host;
}

Plan plan_of(const FakeFilesystem& host, std::vector<Place> places = {}) {
  auto plan = make_plan(host, {.tree = tree, .places = std::move(places)});
  EXPECT_TRUE(plan) << plan.error().text;
  return plan ? std::move(*plan) : Plan{};
}

std::vector<std::string> lines(const Plan& plan) {
  std::vector<std::string> texts;
  for (const Step& step : plan.steps) texts.push_back(describe(step));
  return texts;
}

Step shown(const std::string& name, bool make) {
  return Show{.path = "/sys/" + name, .source = tree + "/" + name, .make = make};
}

TEST(Plan, on_a_host_without_vfio_is_these_steps) {
  EXPECT_THAT(lines(plan_of(plain_host())),
              ElementsAre("cover /sys/bus", "keep  /sys/bus/pci", "cover /sys/class", "keep  /sys/class/net",
                          "cover /sys/devices/virtual", "keep  /sys/devices/virtual/net",
                          "show  /sys/bus/mdev from " + tree + "/bus/mdev",
                          "show  /sys/class/mdev_bus from " + tree + "/class/mdev_bus",
                          "show  /sys/class/mtty from " + tree + "/class/mtty",
                          "show  /sys/class/vfio from " + tree + "/class/vfio",
                          "show  /sys/class/vfio-dev from " + tree + "/class/vfio-dev",
                          "show  /sys/devices/virtual/mtty from " + tree + "/devices/virtual/mtty",
                          "show  /sys/kernel/iommu_groups from " + tree + "/kernel/iommu_groups",
                          "seal  /sys/bus", "seal  /sys/class", "seal  /sys/devices/virtual"));
}

TEST(Plan, shows_the_pci_bus_of_the_tree_once_there_is_a_function_on_it) {
  FakeFilesystem host = plain_host();
  host.directory("/sys/bus/pci/devices/0000:00:01.0").directory(tree + "/bus/pci/devices");
  EXPECT_THAT(lines(plan_of(host)), Contains("keep  /sys/bus/pci")) << "until then it is the host's";
  host.link(tree + "/bus/pci/devices/0000:00:05.0", "../../../devices/virtual/pci_bus/0000:00/0000:00:05.0");
  host.directory(tree + "/devices/virtual/pci_bus/0000:00/0000:00:05.0");
  const Plan plan = plan_of(host);
  EXPECT_THAT(lines(plan), Contains("show  /sys/bus/pci from " + tree + "/bus/pci"));
  EXPECT_THAT(lines(plan),
              Contains("show  /sys/devices/virtual/pci_bus from " + tree + "/devices/virtual/pci_bus"));
  EXPECT_THAT(plan.hidden, Contains("/sys/bus/pci/devices"));
}

TEST(Plan, modules_of_the_tree_are_shown_where_the_host_has_none_of_the_name) {
  FakeFilesystem host = plain_host();
  EXPECT_THAT(lines(plan_of(host)), Not(Contains("cover /sys/module"))) << "the tree has none";
  host.directory("/sys/module/vfio/parameters").directory(tree + "/module/vfio");
  EXPECT_THAT(lines(plan_of(host)), Not(Contains("cover /sys/module"))) << "the host's says more";
  host.directory(tree + "/module/vfio_pci");
  const Plan plan = plan_of(host);
  EXPECT_THAT(lines(plan), Contains("cover /sys/module"));
  EXPECT_THAT(lines(plan), Contains("keep  /sys/module/vfio"));
  EXPECT_THAT(lines(plan), Contains("show  /sys/module/vfio_pci from " + tree + "/module/vfio_pci"));
}

TEST(Plan, covers_nothing_where_every_place_is_there) {
  FakeFilesystem host = plain_host();
  for (const char* name : {"class/vfio", "class/vfio-dev", "class/mdev_bus", "class/mtty", "bus/mdev"})
    host.directory(std::string("/sys/") + name);
  host.link("/sys/class/mtty/mtty", "../../devices/virtual/mtty/mtty")
      .directory("/sys/devices/virtual/mtty/mtty");
  const Plan plan = plan_of(host);
  for (const Step& step : plan.steps) {
    ASSERT_TRUE(std::holds_alternative<Show>(step)) << describe(step);
    EXPECT_FALSE(std::get<Show>(step).make) << describe(step);
  }
  EXPECT_THAT(plan.steps, Contains(shown("devices/virtual/mtty/mtty", false)));
}

TEST(Plan, a_kernel_class_of_the_same_name_keeps_its_devices_beside_ours) {
  FakeFilesystem host = plain_host();
  host.directory("/sys/class/mtty").link("/sys/class/mtty/real", "../../devices/virtual/mtty/real");
  host.directory("/sys/devices/virtual/mtty/real");
  const Plan plan = plan_of(host);
  EXPECT_THAT(plan.steps, Contains(Step(Link{"/sys/class/mtty/real", "../../devices/virtual/mtty/real"})));
  EXPECT_THAT(plan.steps, Contains(Step(Link{"/sys/class/mtty/mtty", "../../devices/virtual/mtty/mtty"})));
  EXPECT_THAT(plan.steps, Contains(Step(Keep{"/sys/devices/virtual/mtty/real"})));
  EXPECT_THAT(plan.steps, Contains(shown("devices/virtual/mtty/mtty", true)));
  EXPECT_THAT(plan.steps, Not(Contains(shown("devices/virtual/mtty", true))));
  EXPECT_THAT(plan.hidden, IsEmpty());
}

TEST(Plan, a_kernel_device_of_the_same_name_is_hidden_and_named) {
  FakeFilesystem host = plain_host();
  host.directory("/sys/devices/virtual/mtty/mtty");
  const Plan plan = plan_of(host);
  EXPECT_THAT(plan.steps, Contains(shown("devices/virtual/mtty/mtty", false)));
  EXPECT_THAT(plan.hidden, ElementsAre("/sys/devices/virtual/mtty/mtty"));
}

TEST(Plan, what_a_live_directory_of_the_host_has_is_named_as_hidden) {
  FakeFilesystem host = plain_host();
  host.link("/sys/class/mdev_bus/0000:00:02.0", "../../devices/pci0000:00/0000:00:02.0");
  host.link("/sys/bus/mdev/devices/real", "../../../devices/x").directory("/sys/kernel/iommu_groups/7");
  EXPECT_THAT(plan_of(host).hidden,
              ElementsAre("/sys/bus/mdev/devices/real", "/sys/class/mdev_bus/0000:00:02.0",
                          "/sys/kernel/iommu_groups/7"));
}

TEST(Plan, a_group_of_the_host_is_kept_where_the_tree_leaves_an_empty_place_for_it) {
  FakeFilesystem host = plain_host();
  host.directory("/sys/kernel/iommu_groups/7/devices").directory(tree + "/kernel/iommu_groups/7");
  const Plan plan = plan_of(host);
  const Step kept = Show{.path = "/sys/kernel/iommu_groups/7", .source = "/sys/kernel/iommu_groups/7"};
  const auto at = std::find(plan.steps.begin(), plan.steps.end(), kept);
  ASSERT_NE(at, plan.steps.end());
  EXPECT_LT(std::find(plan.steps.begin(), plan.steps.end(), shown("kernel/iommu_groups", false)), at);
  EXPECT_THAT(plan.hidden, IsEmpty());
}

TEST(Plan, a_group_of_both_is_ours) {
  FakeFilesystem host = plain_host();
  host.directory("/sys/kernel/iommu_groups/7").directory(tree + "/kernel/iommu_groups/7/devices");
  EXPECT_THAT(plan_of(host).hidden, ElementsAre("/sys/kernel/iommu_groups/7"));
}

TEST(Plan, makes_directories_that_the_host_lacks_altogether) {
  FakeFilesystem host = plain_host();
  host.directory("/run/umdev/mdevctl").directory("/etc/apt").file("/etc/passwd");
  const Place place{.path = "/etc/a/b/c", .source = "/run/umdev/mdevctl", .may_cover = true};
  const auto texts = lines(plan_of(host, {place}));
  EXPECT_THAT(texts,
              testing::IsSupersetOf({"cover /etc", "keep  /etc/apt", "keep  /etc/passwd", "make  /etc/a",
                                     "make  /etc/a/b", "show  /etc/a/b/c from /run/umdev/mdevctl"}));
  EXPECT_LT(std::find(texts.begin(), texts.end(), "make  /etc/a"),
            std::find(texts.begin(), texts.end(), "make  /etc/a/b"));
  EXPECT_THAT(texts, Not(Contains("seal  /etc/a")));
}

TEST(Plan, a_place_that_is_there_is_shown_without_a_cover) {
  FakeFilesystem host = plain_host();
  host.directory("/state/mdevctl.d").directory("/etc/mdevctl.d");
  for (const bool may_cover : {false, true}) {
    const Plan plan =
        plan_of(host, {{.path = "/etc/mdevctl.d", .source = "/state/mdevctl.d", .may_cover = may_cover}});
    EXPECT_THAT(plan.steps, Contains(Step(Show{.path = "/etc/mdevctl.d", .source = "/state/mdevctl.d"})));
    EXPECT_THAT(lines(plan), Not(Contains("cover /etc")));
    EXPECT_THAT(plan.missing, IsEmpty());
  }
}

TEST(Plan, a_place_that_is_missing_and_not_to_be_covered_is_left_out_and_named) {
  FakeFilesystem host = plain_host();
  host.directory("/state/mdevctl.d").directory("/etc");
  const Plan plan = plan_of(host, {{.path = "/etc/mdevctl.d", .source = "/state/mdevctl.d"}});
  EXPECT_THAT(plan.missing, ElementsAre("/etc/mdevctl.d"));
  EXPECT_EQ(lines(plan), lines(plan_of(host)));
}

TEST(Plan, a_place_without_a_source_is_left_out) {
  FakeFilesystem host = plain_host();
  host.directory("/etc");
  const Plan plan = plan_of(host, {{.path = "/etc/mdevctl.d", .source = "/nowhere", .may_cover = true}});
  EXPECT_THAT(plan.missing, IsEmpty());
  EXPECT_EQ(lines(plan), lines(plan_of(host)));
}

TEST(Plan, device_nodes_are_places_that_are_files) {
  FakeFilesystem host = plain_host();
  host.file("/dev/null")
      .directory("/dev/pts")
      .link("/dev/fd", "/proc/self/fd")
      .file("/run/umdev/dev/vfio/vfio");
  const Place node{.path = "/dev/vfio/vfio",
                   .source = "/run/umdev/dev/vfio/vfio",
                   .type = EntryType::file,
                   .may_cover = true};
  const Plan plan = plan_of(host, {node});
  EXPECT_THAT(lines(plan),
              testing::IsSupersetOf({"cover /dev", "keep  /dev/null", "keep  /dev/pts",
                                     "link  /dev/fd -> /proc/self/fd", "make  /dev/vfio", "seal  /dev"}));
  EXPECT_THAT(plan.steps, Contains(Step(Keep{"/dev/null", EntryType::file})));
  EXPECT_THAT(plan.steps, Contains(Step(Show{node.path, node.source, EntryType::file, /*make=*/true})));
}

TEST(Plan, a_place_may_be_a_link_which_takes_the_place_of_what_is_there) {
  FakeFilesystem host = plain_host();
  host.file("/dev/null").file("/dev/iommu").file("/run/umdev/dev/iommu");
  const Place place{
      .path = "/dev/iommu", .source = "/run/umdev/dev/iommu", .type = EntryType::link, .may_cover = true};
  const Plan plan = plan_of(host, {place});
  EXPECT_THAT(lines(plan), Contains("keep  /dev/null"));
  EXPECT_THAT(lines(plan), Contains("link  /dev/iommu -> /run/umdev/dev/iommu"));
  EXPECT_THAT(lines(plan), Not(Contains("keep  /dev/iommu")));
  EXPECT_THAT(plan.hidden, ElementsAre("/dev/iommu"));
}

TEST(Plan, a_link_that_would_lead_nowhere_is_left_out) {
  FakeFilesystem host = plain_host();
  host.file("/dev/null");
  EXPECT_EQ(lines(plan_of(host, {{.path = "/dev/iommu", .source = "/nowhere", .type = EntryType::link}})),
            lines(plan_of(host)));
}

TEST(Plan, without_a_tree_there_is_none) {
  FakeFilesystem host = plain_host();
  EXPECT_EQ(make_plan(host, {.tree = "/nowhere"}).error().code, ENOENT);
  host.directory("/empty/sys");
  EXPECT_EQ(make_plan(host, {.tree = "/empty/sys"}).error().code, ENOENT);
}

TEST(Plan, what_cannot_be_listed_is_its_error) {
  for (const char* path : {"/sys/class", "/run/umdev/sys/class", "/sys/kernel/iommu_groups"}) {
    FakeFilesystem host = plain_host();
    host.forbid(path);
    EXPECT_EQ(make_plan(host, {.tree = tree}).error().code, EACCES) << path;
  }
}

// What a plan makes of a host, step by step: each path, and where what is seen there comes from.
using Seen = std::map<std::string, std::string>;

Seen carry_out(const FakeFilesystem& host, const Plan& plan) {
  Seen seen;
  std::set<std::string> covered;
  const auto forget_below = [&](const std::string& path) {
    std::erase_if(seen, [&](const auto& entry) { return entry.first.starts_with(path + "/"); });
  };
  for (const Step& step : plan.steps) {
    if (const auto* cover = std::get_if<Cover>(&step)) {
      forget_below(cover->path);
      covered.insert(cover->path);
      const auto entries = host.list(cover->path);
      for (const Entry& entry : *entries) seen[cover->path + "/" + entry.name] = "lost";
    } else if (const auto* keep = std::get_if<Keep>(&step)) {
      EXPECT_TRUE(covered.contains(keep->path.substr(0, keep->path.rfind('/')))) << keep->path;
      seen[keep->path] = keep->path;
    } else if (const auto* link = std::get_if<Link>(&step)) {
      seen[link->path] = "link";
    } else if (const auto* show = std::get_if<Show>(&step)) {
      forget_below(show->path);
      seen[show->path] = show->source;
    }
  }
  return seen;
}

TEST(Plan, P_loses_nothing_of_any_host_without_naming_it) {
  const bool held = rc::check([] {
    FakeFilesystem host = plain_host();
    const auto names = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "class/mtty/real", "class/mdev_bus/real", "class/vfio/9", "class/new", "bus/mdev/devices/real",
        "bus/usb", "devices/virtual/mtty/mtty", "devices/virtual/mtty/other", "devices/virtual/mem/null",
        "kernel/iommu_groups/3", "class/vfio-dev"));
    for (const std::string& name : names) host.directory("/sys/" + name);
    const Plan plan = plan_of(host);
    const Seen seen = carry_out(host, plan);
    for (const auto& [path, source] : seen)
      if (source == "lost") RC_FAIL(path + " is lost");
    for (const std::string& name : names) {
      const std::string path = "/sys/" + name;
      // The nearest thing that a step has put at the path or above it is the host's own, or it is named.
      std::string at = path;
      while (!at.empty() && !seen.contains(at)) at.resize(at.rfind('/'));
      if (at.empty() || seen.at(at) == at) continue;
      const bool is_named = std::any_of(plan.hidden.begin(), plan.hidden.end(),
                                        [&](const std::string& hidden) { return path.starts_with(hidden); });
      const bool is_ours = host.type_of(seen.at(at) + path.substr(at.size())).has_value();
      RC_ASSERT(is_named || is_ours);
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace umdev::run
