// What shows and stores that are running and the removal of their nodes share. Only the tree's own files
// include this.
#pragma once

#include <thread>

#include "umdev/tree/tree.h"

namespace umdev::tree {

// One show or store, on the stack of the thread that runs it.
struct CallFrame {
  NodeRef node;
  CallFrame* outer = nullptr;  // the next one on this thread's stack
};

// How many calls in the node are on this thread's own stack.
std::uint32_t count_own_calls(const Node& node);

// One removal that waits for calls to leave.
struct Tree::Drain {
  std::size_t remaining = 0;                                   // calls; guarded by Tree::mutex_
  const std::thread::id remover = std::this_thread::get_id();  // whose own calls are not among them
  Done<> done;
};

// A dead attribute that calls are running in still.
struct Tree::Draining {
  std::vector<std::uint64_t> chain;            // its inode and those of all directories it was under
  std::vector<std::shared_ptr<Drain>> drains;  // who waits for it
};

}  // namespace umdev::tree
