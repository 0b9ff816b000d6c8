// Publishes nodes in one step: a reader sees all of them or none. It serves the rule "complete tree, then
// events": a device's directory appears with every attribute and every link to it.
#pragma once

#include "umdev/tree/tree.h"

namespace umdev::tree {

// Collects nodes, in directories that are in the tree already or that it made itself, and commits them
// together. Not thread-safe, single use. Errors are remembered: the first one is commit()'s answer, so that
// the code between reads as a list.
class Transaction {
 public:
  explicit Transaction(Tree& tree);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  Directory add_directory(const Directory& parent, std::string name, Mode mode = 0755);
  void add_attribute(const Directory& parent, AttributeSpec spec);
  void add_link(const Directory& parent, std::string name, const NodeRef& target);
  void add_link(const Directory& parent, std::string name, const Directory& target);
  void add_link_to_path(const Directory& parent, std::string name, std::string target);

  // Makes everything visible at once. The handle owns what was added to directories that were there before,
  // in that order; what is below goes with it. Errors as those of Directory::add_*; then nothing has changed.
  Result<NodeHandle> commit();

 private:
  void add(const Directory& parent, NodeRef node);

  Tree& tree_;
  std::vector<Tree::Attachment> attachments_;
  std::optional<Error> error_;
};

}  // namespace umdev::tree
