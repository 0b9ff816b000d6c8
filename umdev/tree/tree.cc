// The tree's structure: attaching, removing, metadata.
#include "umdev/tree/tree.h"

#include <algorithm>

#include "umdev/tree/call.h"
#include "umdev/tree/node.h"
#include "umdev/tree/transaction.h"

namespace umdev::tree {

namespace {

void make_live(Node& node) {
  node.state = Node::State::live;
  if (node.type != NodeType::directory) return;
  for (const NodeRef& child : as_directory(node).children) make_live(*child);
}

void touch(Node& node) {
  ++node.generation;
}

}  // namespace

// What a removal leaves to be destroyed, or to be waited for, once the lock is released.
struct Tree::Removal {
  std::vector<NodeRef> nodes;
  std::vector<std::unique_ptr<Attribute>> attributes;
  std::vector<std::uint64_t> chain;  // the inodes from the root down to what is being killed
  std::shared_ptr<Drain> drain = std::make_shared<Drain>();
};

Tree::Tree() : root_(std::make_shared<DirectoryNode>("", Mode{0755}, next_inode())) {
  root_->state = Node::State::live;
}

Tree::~Tree() {
  std::vector<NodeRef> children;
  {
    Lock lock(mutex_);
    const auto& set = as_directory(*root_).children;
    children.assign(set.begin(), set.end());
  }
  remove(children, Done<>([](Result<>) {}));
  UMDEV_ASSERT(draining_.empty(), "a tree ended while one of its attributes was in use");
}

void Tree::publish(Event::Kind kind, const Node& node) {
  if (!feed_.has_subscribers()) return;
  feed_.publish({kind, absolute_path(node), node.inode, node.parent != nullptr ? node.parent->inode : 0});
}

Result<> Tree::attach(const std::vector<Attachment>& attachments) {
  {
    Lock lock(mutex_);
    std::size_t attached = 0;
    Result<> result;
    for (const Attachment& attachment : attachments) {
      DirectoryNode& parent = as_directory(*attachment.parent);
      if (parent.state != Node::State::live) {
        result = fail(ENOENT, "the directory is gone");
        break;
      }
      if (!parent.children.insert(attachment.node).second) {
        result = fail(EEXIST, "the name is taken");
        break;
      }
      ++attached;
    }
    if (!result) {
      for (std::size_t index = 0; index < attached; ++index)
        as_directory(*attachments[index].parent).children.erase(attachments[index].node);
      return result;
    }
    for (const Attachment& attachment : attachments) {
      DirectoryNode& parent = as_directory(*attachment.parent);
      attachment.node->parent = &parent;
      if (attachment.node->type == NodeType::directory) ++parent.subdirectories;
      touch(parent);
      make_live(*attachment.node);
    }
    for (const Attachment& attachment : attachments) publish(Event::Kind::added, *attachment.node);
  }
  feed_.wake();
  return {};
}

// Ends the life of a node and all below it, which is no longer reachable from the root.
void Tree::kill(Node& node, Removal& removal) {
  node.state = Node::State::dead;
  node.parent = nullptr;
  touch(node);
  removal.chain.push_back(node.inode);
  if (node.type == NodeType::directory) {
    DirectoryNode& directory = as_directory(node);
    for (const NodeRef& child : directory.children) {
      kill(*child, removal);
      removal.nodes.push_back(child);
    }
    directory.children.clear();
    directory.subdirectories = 0;
  } else if (node.type == NodeType::attribute) {
    AttributeNode& attribute = as_attribute(node);
    if (attribute.calls == 0) {
      removal.attributes.push_back(std::move(attribute.attribute));
    } else {
      draining_.emplace(&node, Draining{removal.chain, {}});
    }
  }
  removal.chain.pop_back();
}

// Makes the removal wait for every call that runs in the node or anywhere below it, whoever killed that.
void Tree::wait_for_calls_below(const Node& node, Removal& removal) {
  for (auto& [dead, draining] : draining_) {
    if (std::ranges::find(draining.chain, node.inode) == draining.chain.end()) continue;
    if (std::ranges::find(draining.drains, removal.drain) != draining.drains.end()) continue;
    const auto& attribute = static_cast<const AttributeNode&>(*dead);
    removal.drain->remaining += attribute.calls - count_own_calls(attribute);
    draining.drains.push_back(removal.drain);
  }
}

void Tree::detach(Node& node, Removal& removal) {
  if (node.state != Node::State::live) return;
  UMDEV_ASSERT(node.parent != nullptr, "the root is not removed");
  publish(Event::Kind::removed, node);
  DirectoryNode& parent = *node.parent;
  const auto position = parent.children.find(std::string_view(node.name));
  removal.nodes.push_back(*position);
  parent.children.erase(position);
  if (node.type == NodeType::directory) --parent.subdirectories;
  touch(parent);
  removal.chain.clear();
  for (const Node* above = &parent; above != nullptr; above = above->parent)
    removal.chain.push_back(above->inode);
  kill(node, removal);
}

void Tree::remove(const std::vector<NodeRef>& nodes, Done<> done) {
  Removal removal;
  removal.drain->done = std::move(done);
  bool waits = false;
  {
    Lock lock(mutex_);
    for (const NodeRef& node : nodes) detach(*node, removal);
    for (const NodeRef& node : nodes) wait_for_calls_below(*node, removal);
    waits = removal.drain->remaining != 0;
  }
  feed_.wake();
  removal.attributes.clear();
  removal.nodes.clear();
  if (!waits) removal.drain->done();
}

Result<> Tree::remove_child(const NodeRef& directory, std::string_view name) {
  Removal removal;
  {
    Lock lock(mutex_);
    if (directory->state != Node::State::live) return fail(ENOENT, "the directory is gone");
    const auto& children = as_directory(*directory).children;
    const auto found = children.find(name);
    if (found == children.end()) return fail(ENOENT, "there is no such node");
    detach(**found, removal);
  }
  feed_.wake();
  return {};
}

Result<> Tree::set_mode(const NodeRef& node, Mode mode) {
  if (node->type == NodeType::link) return fail(EOPNOTSUPP, "a link's mode is fixed");
  {
    Lock lock(mutex_);
    if (node->state != Node::State::live) return fail(ENODEV, "the node is gone");
    node->mode = mode & 07777;
    touch(*node);
    publish(Event::Kind::changed, *node);
  }
  feed_.wake();
  return {};
}

Result<> Tree::set_owner(const NodeRef& node, std::optional<std::uint32_t> uid,
                         std::optional<std::uint32_t> gid) {
  {
    Lock lock(mutex_);
    if (node->state != Node::State::live) return fail(ENODEV, "the node is gone");
    node->uid = uid.value_or(node->uid);
    node->gid = gid.value_or(node->gid);
    touch(*node);
    publish(Event::Kind::changed, *node);
  }
  feed_.wake();
  return {};
}

Result<> Tree::notify(const NodeRef& node) {
  {
    Lock lock(mutex_);
    if (node->state != Node::State::live) return fail(ENODEV, "the node is gone");
    touch(*node);
    publish(Event::Kind::changed, *node);
  }
  feed_.wake();
  return {};
}

}  // namespace umdev::tree
