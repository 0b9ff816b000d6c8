#include "umdev/run/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace umdev::run {
namespace {

// Directories whose names are all umdev's business, and come and go: shown whole, or a device that is made
// later would not be seen.
constexpr std::array<std::string_view, 5> live{"bus/mdev", "class/mdev_bus", "class/vfio", "class/vfio-dev",
                                               "kernel/iommu_groups"};
// Shown whole too, but only with a function on it: until then programs see the host's.
constexpr std::string_view pci_bus = "bus/pci";

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

class Planner {
 public:
  Planner(const Filesystem& host, const Request& request) : host_(host), request_(request) {}

  Result<Plan> make() {
    bool any = false;
    for (const std::string_view name : live) {
      if (host_.type_of(request_.tree + "/" + std::string(name)) != EntryType::directory) continue;
      any = true;
      UMDEV_TRY(show_live(std::string(name)));
    }
    if (!any) return fail(ENOENT, "the tree shows neither a bus nor a class of umdev");
    if (has_functions()) UMDEV_TRY(show_live(std::string(pci_bus)));
    for (const char* room : {"bus", "class"}) UMDEV_TRY(merge(room, /*parents=*/false));
    UMDEV_TRY(add_modules());
    UMDEV_TRY(merge("devices/virtual", /*parents=*/true));
    for (const Place& place : request_.places) UMDEV_TRY(add(place));
    return UMDEV_TRY(write_down());
  }

 private:
  bool has_functions() const {
    const auto functions = host_.list(request_.tree + "/" + std::string(pci_bus) + "/devices");
    return functions && !functions->empty();
  }

  // The tree's are empty: the host's of the same names say more.
  Result<> add_modules() {
    const auto modules = host_.list(request_.tree + "/module");
    if (!modules) return {};
    for (const Entry& entry : *modules) {
      const std::string path = "/sys/module/" + entry.name;
      if (entry.type != EntryType::directory || host_.type_of(path)) continue;
      UMDEV_TRY(show({.path = path, .source = request_.tree + "/module/" + entry.name}));
    }
    return {};
  }

  Result<> show_live(const std::string& name) {
    const std::string path = "/sys/" + name;
    const std::string source = request_.tree + "/" + name;
    UMDEV_TRY(show({.path = path, .source = source}));
    if (shows_.at(path).make) return {};
    return note_hidden(path, source, /*depth=*/name == "bus/mdev" ? 1 : 0);
  }

  // What a live directory of the host has is not seen, unless the tree leaves a place for it: an empty
  // directory of that name.
  Result<> note_hidden(const std::string& path, const std::string& source, int depth) {
    for (const Entry& entry : UMDEV_TRY(host_.list(path))) {
      const std::string real = path + "/" + entry.name;
      const std::string ours = source + "/" + entry.name;
      const auto type = host_.type_of(ours);
      if (type == EntryType::directory && entry.type == EntryType::directory) {
        if (depth > 0)
          UMDEV_TRY(note_hidden(real, ours, depth - 1));
        else if (UMDEV_TRY(host_.list(ours)).empty())
          shows_.insert_or_assign(real, Show{.path = real, .source = real});
        else
          plan_.hidden.push_back(real);
      } else if (type != entry.type) {
        plan_.hidden.push_back(real);
      }
    }
    return {};
  }

  // Adds the rooms' children that the host lacks; where it has one of that name, the children of that.
  // `parents`: the children's children are devices, of which ours go before the host's.
  Result<> merge(const std::string& room, bool parents) {
    const auto entries = host_.list(request_.tree + "/" + room);
    if (!entries && entries.error().code == ENOENT) return {};
    if (!entries) return std::unexpected(entries.error());
    for (const Entry& entry : *entries) {
      const std::string name = room + "/" + entry.name;
      if (entry.type != EntryType::directory || name == pci_bus ||
          std::find(live.begin(), live.end(), name) != live.end())
        continue;
      const std::string path = "/sys/" + name;
      const std::string source = request_.tree + "/" + name;
      if (host_.type_of(path) == EntryType::directory)
        UMDEV_TRY(merge_children(path, source, parents));
      else
        UMDEV_TRY(show({.path = path, .source = source}));
    }
    return {};
  }

  Result<> merge_children(const std::string& path, const std::string& source, bool replace) {
    for (const Entry& entry : UMDEV_TRY(host_.list(source))) {
      const std::string child = path + "/" + entry.name;
      const std::string child_source = source + "/" + entry.name;
      const bool is_there = host_.type_of(child).has_value();
      if (is_there && (!replace || entry.type != EntryType::directory)) continue;
      if (is_there) plan_.hidden.push_back(child);
      if (entry.type == EntryType::link) {
        UMDEV_TRY(cover(path));
        covered_[path][entry.name] = UMDEV_TRY(host_.read_link(child_source));
      } else {
        UMDEV_TRY(show({.path = child, .source = child_source, .type = entry.type}));
      }
    }
    return {};
  }

  Result<> add(const Place& place) {
    if (place.type == EntryType::link) return add_link(place);
    if (host_.type_of(place.source) != place.type) return {};
    if (host_.type_of(place.path) != place.type && !place.may_cover) {
      plan_.missing.push_back(place.path);
      return {};
    }
    return show({.path = place.path, .source = place.source, .type = place.type});
  }

  // A link that leads nowhere is left out.
  Result<> add_link(const Place& place) {
    if (!host_.type_of(place.source)) return {};
    const std::string directory = parent_of(place.path);
    if (host_.type_of(place.path)) plan_.hidden.push_back(place.path);
    UMDEV_TRY(cover(directory));
    covered_[directory][place.path.substr(directory.size() + 1)] = place.source;
    return {};
  }

  Result<> show(Show step) {
    step.make = host_.type_of(step.path) != step.type;
    if (step.make) UMDEV_TRY(cover(parent_of(step.path)));
    shows_.insert_or_assign(step.path, std::move(step));
    return {};
  }

  // Sees to it that names can be made in a directory.
  Result<> cover(const std::string& directory) {
    if (covered_.contains(directory)) return {};
    if (host_.type_of(directory) == EntryType::directory) {
      covered_[directory];
      return {};
    }
    if (directory == "/") return fail(ENOENT, "the host has no root directory");
    UMDEV_TRY(cover(parent_of(directory)));
    made_.insert(directory);
    covered_[directory];
    return {};
  }

  bool is_shown(const std::string& path) const {
    const auto found = shows_.find(path);
    return found != shows_.end() && found->second.make;
  }

  // Paths are in their order, so a directory comes before what is in it.
  Result<Plan> write_down() {
    for (const auto& [path, links] : covered_) {
      if (made_.contains(path)) continue;
      plan_.steps.emplace_back(Cover{path});
      for (const Entry& entry : UMDEV_TRY(host_.list(path))) {
        const std::string child = path == "/" ? "/" + entry.name : path + "/" + entry.name;
        if (is_shown(child) || made_.contains(child) || links.contains(entry.name)) continue;
        if (entry.type == EntryType::link)
          plan_.steps.emplace_back(Link{child, UMDEV_TRY(host_.read_link(child))});
        else
          plan_.steps.emplace_back(Keep{child, entry.type});
      }
    }
    for (const std::string& path : made_) plan_.steps.emplace_back(Make{path});
    for (const auto& [path, links] : covered_)
      for (const auto& [name, target] : links)
        plan_.steps.emplace_back(Link{fmt::format("{}/{}", path, name), target});
    for (auto& [path, step] : shows_) plan_.steps.emplace_back(std::move(step));
    for (const auto& [path, links] : covered_)
      if (!made_.contains(path)) plan_.steps.emplace_back(Seal{path});
    return std::move(plan_);
  }

  const Filesystem& host_;
  const Request& request_;
  Plan plan_;
  std::map<std::string, Show> shows_;
  std::map<std::string, std::map<std::string, std::string>> covered_;  // with the links to be added
  std::set<std::string> made_;  // those of covered_ that the host lacks: directories in a skeleton
};

}  // namespace

Result<Plan> make_plan(const Filesystem& host, const Request& request) {
  return Planner(host, request).make();
}

std::string describe(const Step& step) {
  struct Describer {
    std::string operator()(const Cover& cover) const { return fmt::format("cover {}", cover.path); }
    std::string operator()(const Keep& keep) const { return fmt::format("keep  {}", keep.path); }
    std::string operator()(const Make& make) const { return fmt::format("make  {}", make.path); }
    std::string operator()(const Link& link) const {
      return fmt::format("link  {} -> {}", link.path, link.target);
    }
    std::string operator()(const Show& show) const {
      return fmt::format("show  {} from {}", show.path, show.source);
    }
    std::string operator()(const Seal& seal) const { return fmt::format("seal  {}", seal.path); }
  };
  return std::visit(Describer(), step);
}

}  // namespace umdev::run
