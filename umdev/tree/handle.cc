// NodeHandle and Directory: what publishers hold.
#include <algorithm>

#include "umdev/tree/transaction.h"
#include "umdev/tree/tree.h"

namespace umdev::tree {

NodeHandle::NodeHandle(NodeHandle&& other) noexcept
    : tree_(other.tree_), nodes_(std::exchange(other.nodes_, {})) {}

NodeHandle& NodeHandle::operator=(NodeHandle&& other) noexcept {
  if (this != &other) {
    remove();
    tree_ = other.tree_;
    nodes_ = std::exchange(other.nodes_, {});
  }
  return *this;
}

NodeHandle::~NodeHandle() {
  remove();
}

const NodeRef& NodeHandle::node() const {
  UMDEV_ASSERT(!nodes_.empty(), "an empty handle has no node");
  return nodes_.front();
}

Directory NodeHandle::directory() const {
  return {tree_, node()};
}

void NodeHandle::remove(Done<> done) {
  const std::vector<NodeRef> nodes = std::exchange(nodes_, {});
  if (nodes.empty()) {
    done();
    return;
  }
  tree_->remove(nodes, std::move(done));
}

void NodeHandle::remove() {
  if (nodes_.empty()) return;
  struct Waiter {
    Mutex mutex;
    Condition condition;
    bool removed UMDEV_GUARDED_BY(mutex) = false;
  };
  const auto waiter = std::make_shared<Waiter>();
  remove(Done<>([waiter](Result<>) {
    Lock lock(waiter->mutex);
    waiter->removed = true;
    waiter->condition.notify_all();
  }));
  Lock lock(waiter->mutex);
  while (!waiter->removed) waiter->condition.wait(waiter->mutex);
}

void NodeHandle::release() {
  nodes_.clear();
}

NodeHandle NodeHandle::split(const NodeRef& node) {
  const auto position = std::find(nodes_.begin(), nodes_.end(), node);
  if (position == nodes_.end()) return {};
  nodes_.erase(position);
  return {tree_, {node}};
}

Result<NodeHandle> Directory::add_directory(std::string name, Mode mode) const {
  Transaction transaction(*tree_);
  transaction.add_directory(*this, std::move(name), mode);
  return transaction.commit();
}

Result<NodeHandle> Directory::add_attribute(AttributeSpec spec) const {
  Transaction transaction(*tree_);
  transaction.add_attribute(*this, std::move(spec));
  return transaction.commit();
}

Result<NodeHandle> Directory::add_link(std::string name, const NodeRef& target) const {
  Transaction transaction(*tree_);
  transaction.add_link(*this, std::move(name), target);
  return transaction.commit();
}

Result<NodeHandle> Directory::add_link(std::string name, const Directory& target) const {
  return add_link(std::move(name), target.node());
}

Result<NodeHandle> Directory::add_link_to_path(std::string name, std::string target) const {
  Transaction transaction(*tree_);
  transaction.add_link_to_path(*this, std::move(name), std::move(target));
  return transaction.commit();
}

Result<> Directory::remove(std::string_view name) const {
  return tree_->remove_child(node_, name);
}

std::string Directory::path() const {
  return tree_->path_of(node_).value_or(std::string());
}

}  // namespace umdev::tree
