// Finding nodes: paths, listings, links.
#include <algorithm>
#include <ranges>

#include "umdev/tree/node.h"

namespace umdev::tree {

namespace {

// As the kernel's MAXSYMLINKS.
constexpr unsigned links_at_most = 40;

// Takes the first component off a path; slashes around it count for nothing.
std::string_view take_component(std::string_view& path) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  const std::string_view component = path.substr(0, path.find('/'));
  path.remove_prefix(component.size());
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  return component;
}

// The way from one absolute directory to another absolute path, as the text of a link. Like kernfs it goes by
// a directory above the target, never by the target itself: from /a/b to /a it is "../../a".
std::string relative_path(std::string_view from_directory, std::string_view to) {
  std::string text;
  for (;;) {
    std::string_view from_rest = from_directory;
    std::string_view to_rest = to;
    const std::string_view from_component = take_component(from_rest);
    const std::string_view to_component = take_component(to_rest);
    if (from_component.empty() || from_component != to_component || to_rest.empty()) break;
    from_directory = from_rest;
    to = to_rest;
  }
  while (!take_component(from_directory).empty()) text += "../";
  for (std::string_view component = take_component(to); !component.empty(); component = take_component(to)) {
    text += component;
    text += '/';
  }
  if (text.empty()) return ".";
  text.pop_back();
  return text;
}

}  // namespace

std::string absolute_path(const Node& node) {
  if (node.parent == nullptr) return "/";
  std::vector<const Node*> chain;
  std::size_t length = 0;
  for (const Node* step = &node; step->parent != nullptr; step = step->parent) {
    chain.push_back(step);
    length += step->name.size() + 1;
  }
  std::string path;
  path.reserve(length);
  for (const Node* step : std::views::reverse(chain)) {
    path += '/';
    path += step->name;
  }
  return path;
}

Result<NodeRef> Tree::target_of(const Node& node) const {
  const LinkNode& link = as_link(node);
  if (link.target_path) return fail(EINVAL, "the link has a path");
  NodeRef target = link.target.lock();
  if (!target || target->state != Node::State::live) return fail(ENOENT, "the link's target is gone");
  return target;
}

Result<NodeRef> Tree::walk(std::string_view path, bool follow_last) const {
  NodeRef current = root_;
  std::string rewritten;  // the path that `path` looks into once a link with a path was met
  unsigned links = 0;
  for (std::string_view component = take_component(path); !component.empty();
       component = take_component(path)) {
    if (current->type != NodeType::directory) return fail(ENOTDIR, "a component of the path is no directory");
    if (component == ".") continue;
    if (component == "..") {
      if (current->parent != nullptr) {
        const Node* const parent = current->parent;
        if (parent == root_.get()) {
          current = root_;
        } else {
          current = *parent->parent->children.find(parent->name);
        }
      }
      continue;
    }
    const auto& children = as_directory(*current).children;
    const auto found = children.find(component);
    if (found == children.end()) return fail(ENOENT, "there is no such node");
    current = *found;
    if (current->type != NodeType::link || (path.empty() && !follow_last)) continue;
    do {
      if (++links > links_at_most) return fail(ELOOP, "too many links");
      if (const auto& target_path = as_link(*current).target_path) {
        rewritten = *target_path + "/" + std::string(path);
        path = rewritten;
        current = root_;
      } else {
        current = UMDEV_TRY(target_of(*current));
      }
    } while (current->type == NodeType::link && (!path.empty() || follow_last));
  }
  return current;
}

Result<NodeRef> Tree::lookup(std::string_view path) const {
  Lock lock(mutex_);
  return walk(path, false);
}

Result<NodeRef> Tree::resolve(std::string_view path) const {
  Lock lock(mutex_);
  return walk(path, true);
}

Result<NodeRef> Tree::child(const NodeRef& directory, std::string_view name) const {
  Lock lock(mutex_);
  if (directory->type != NodeType::directory) return fail(ENOTDIR, "not a directory");
  const auto& children = as_directory(*directory).children;
  const auto found = children.find(name);
  if (found == children.end() || directory->state != Node::State::live)
    return fail(ENOENT, "there is no such node");
  return *found;
}

Result<std::vector<Entry>> Tree::list(const NodeRef& directory, std::string_view after,
                                      std::size_t limit) const {
  Lock lock(mutex_);
  if (directory->type != NodeType::directory) return fail(ENOTDIR, "not a directory");
  if (directory->state != Node::State::live) return fail(ENOENT, "the directory is gone");
  const auto& children = as_directory(*directory).children;
  std::vector<Entry> entries;
  for (auto next = after.empty() ? children.begin() : children.upper_bound(after);
       next != children.end() && entries.size() < limit; ++next) {
    entries.push_back({(*next)->name, (*next)->type, (*next)->inode});
  }
  return entries;
}

Result<std::vector<std::string>> Tree::list(std::string_view path) const {
  const NodeRef directory = UMDEV_TRY(resolve(path));
  std::vector<std::string> names;
  for (Entry& entry : UMDEV_TRY(list(directory))) names.push_back(std::move(entry.name));
  return names;
}

NodeInfo Tree::info(const NodeRef& node) const {
  Lock lock(mutex_);
  return {.type = node->type,
          .mode = node->mode,
          .uid = node->uid,
          .gid = node->gid,
          .inode = node->inode,
          .size = node->type == NodeType::attribute ? as_attribute(*node).size : 0,
          .links = node->type == NodeType::directory ? 2 + as_directory(*node).subdirectories : 1,
          .generation = node->generation,
          .binary = node->type == NodeType::attribute && as_attribute(*node).is_binary,
          .removed = node->state == Node::State::dead};
}

Result<std::string> Tree::path_of(const NodeRef& node) const {
  Lock lock(mutex_);
  if (node->state != Node::State::live) return fail(ENODEV, "the node is not in the tree");
  return absolute_path(*node);
}

Result<std::string> Tree::read_link(const NodeRef& node) const {
  Lock lock(mutex_);
  if (node->type != NodeType::link) return fail(EINVAL, "not a link");
  if (node->state != Node::State::live) return fail(ENODEV, "the link is gone");
  const std::string from = absolute_path(*node->parent);
  if (const auto& path = as_link(*node).target_path) return relative_path(from, *path);
  return relative_path(from, absolute_path(*UMDEV_TRY(target_of(*node))));
}

Result<std::string> Tree::read_link(std::string_view path) const {
  return read_link(UMDEV_TRY(lookup(path)));
}

}  // namespace umdev::tree
