#include "umdev/tree/transaction.h"

#include "umdev/tree/node.h"

namespace umdev::tree {

namespace {

constexpr std::size_t name_limit = 255;

bool is_good_name(std::string_view name) {
  using namespace std::string_view_literals;
  return !name.empty() && name.size() <= name_limit && name != "." && name != ".." &&
         name.find_first_of("/\0"sv) == std::string_view::npos;
}

}  // namespace

Transaction::Transaction(Tree& tree) : tree_(tree) {}
Transaction::~Transaction() = default;

void Transaction::add(const Directory& parent, NodeRef node) {
  if (error_) return;
  if (!is_good_name(node->name)) {
    error_ = Error{EINVAL, "a node cannot have this name"};
    return;
  }
  UMDEV_ASSERT(parent && parent.tree_ == &tree_, "a transaction is about one tree");
  bool staged = false;
  {
    Lock lock(tree_.mutex_);
    staged = parent.node_->state == Node::State::staged;
  }
  if (!staged) {
    attachments_.push_back({parent.node_, std::move(node)});
    return;
  }
  DirectoryNode& directory = as_directory(*parent.node_);
  node->parent = &directory;
  const bool is_directory = node->type == NodeType::directory;
  if (!directory.children.insert(std::move(node)).second) {
    error_ = Error{EEXIST, "the name is taken"};
  } else if (is_directory) {
    ++directory.subdirectories;
  }
}

Directory Transaction::add_directory(const Directory& parent, std::string name, Mode mode) {
  NodeRef node = std::make_shared<DirectoryNode>(std::move(name), mode, tree_.next_inode());
  add(parent, node);
  return {&tree_, std::move(node)};
}

void Transaction::add_attribute(const Directory& parent, AttributeSpec spec) {
  if (spec.is_visible) {
    spec.mode = spec.is_visible();
    if (spec.mode == 0) return;
  }
  UMDEV_ASSERT(spec.attribute, "an attribute has a behaviour");
  add(parent, std::make_shared<AttributeNode>(std::move(spec.name), Mode(spec.mode & 07777),
                                              tree_.next_inode(), std::move(spec.attribute)));
}

void Transaction::add_link(const Directory& parent, std::string name, const NodeRef& target) {
  auto link = std::make_shared<LinkNode>(std::move(name), tree_.next_inode());
  link->target = target;
  add(parent, std::move(link));
}

void Transaction::add_link(const Directory& parent, std::string name, const Directory& target) {
  add_link(parent, std::move(name), target.node());
}

void Transaction::add_link_to_path(const Directory& parent, std::string name, std::string target) {
  auto link = std::make_shared<LinkNode>(std::move(name), tree_.next_inode());
  link->target_path = std::make_unique<const std::string>(std::move(target));
  add(parent, std::move(link));
}

Result<NodeHandle> Transaction::commit() {
  if (error_) return std::unexpected(*error_);
  std::vector<NodeRef> nodes;
  nodes.reserve(attachments_.size());
  for (const Tree::Attachment& attachment : attachments_) nodes.push_back(attachment.node);
  UMDEV_TRY(tree_.attach(attachments_));
  attachments_.clear();
  return NodeHandle(&tree_, std::move(nodes));
}

}  // namespace umdev::tree
