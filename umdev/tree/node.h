// The nodes themselves. Only the tree's own files include this. Everything that is not const is guarded by
// Tree::mutex_, except in a directory that a transaction has not committed yet.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "umdev/tree/tree.h"

namespace umdev::tree {

struct DirectoryNode;

struct Node {
  enum class State : std::uint8_t { staged, live, dead };

  Node(NodeType node_type, std::string node_name, Mode node_mode, std::uint64_t node_inode)
      : name(std::move(node_name)), inode(node_inode), mode(node_mode), type(node_type) {}

  const std::string name;
  DirectoryNode* parent = nullptr;  // null for the root, for what is dead, and for what is not attached yet
  const std::uint64_t inode;
  std::uint32_t generation = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Mode mode;
  const NodeType type;
  State state = State::staged;
};

struct ByName {
  using is_transparent = void;
  static std::string_view name_of(const NodeRef& node) { return node->name; }
  static std::string_view name_of(std::string_view name) { return name; }
  template <typename Left, typename Right>
  bool operator()(const Left& left, const Right& right) const {
    return name_of(left) < name_of(right);
  }
};

struct DirectoryNode : Node {
  DirectoryNode(std::string node_name, Mode node_mode, std::uint64_t node_inode)
      : Node(NodeType::directory, std::move(node_name), node_mode, node_inode) {}

  std::set<NodeRef, ByName> children;
  std::uint32_t subdirectories = 0;
};

struct AttributeNode : Node {
  AttributeNode(std::string node_name, Mode node_mode, std::uint64_t node_inode,
                std::unique_ptr<Attribute> node_attribute)
      : Node(NodeType::attribute, std::move(node_name), node_mode, node_inode),
        attribute(std::move(node_attribute)),
        is_binary(attribute->as_binary() != nullptr),
        size(is_binary ? attribute->as_binary()->size() : attribute_size) {}

  // Taken out, and destroyed without the lock, when the node is dead and `calls` is zero.
  std::unique_ptr<Attribute> attribute;
  std::uint32_t calls = 0;  // shows and stores that are running
  const bool is_binary;
  const std::uint64_t size;  // as a listing says it
};

struct LinkNode : Node {
  LinkNode(std::string node_name, std::uint64_t node_inode)
      : Node(NodeType::link, std::move(node_name), 0777, node_inode) {}

  // The one or the other.
  std::weak_ptr<Node> target;
  std::unique_ptr<const std::string> target_path;
};

inline DirectoryNode& as_directory(Node& node) {
  UMDEV_ASSERT(node.type == NodeType::directory, "not a directory");
  return static_cast<DirectoryNode&>(node);
}
inline const DirectoryNode& as_directory(const Node& node) {
  return as_directory(const_cast<Node&>(node));
}
inline AttributeNode& as_attribute(Node& node) {
  UMDEV_ASSERT(node.type == NodeType::attribute, "not an attribute");
  return static_cast<AttributeNode&>(node);
}
inline const LinkNode& as_link(const Node& node) {
  UMDEV_ASSERT(node.type == NodeType::link, "not a link");
  return static_cast<const LinkNode&>(node);
}

// The absolute path of a live node; "/" for the root.
std::string absolute_path(const Node& node);

// A node that shall become a child of a live directory.
struct Tree::Attachment {
  NodeRef parent;
  NodeRef node;
};

}  // namespace umdev::tree
