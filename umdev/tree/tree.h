// An in-memory tree with the semantics of sysfs: directories, attributes and symbolic links, published by the
// object model and read by the file system, the command line and the tests. It knows no FUSE and makes no
// system call.
//
// Lock order (outer first):
//   whatever the caller holds > Tree::mutex_ > Feed::mutex_ > a feed queue's mutex
// No show, store, wake function, completion or destructor of an Attribute runs while one of these is held.
// Nothing of the tree waits, except the blocking NodeHandle::remove().
//
// References: a directory owns its children; a child knows its parent by a pointer that ends with its
// removal. A NodeRef keeps a node's memory, not its life: once removed, a node says ENODEV. A link owns
// nothing.
#pragma once

#include <atomic>
#include <optional>
#include <unordered_map>
#include <vector>

#include "umdev/support/mutex.h"
#include "umdev/tree/attribute.h"
#include "umdev/tree/feed.h"

namespace umdev::tree {

enum class NodeType : std::uint8_t { directory, attribute, link };

struct Node;
// A reference to a node that may have been removed meanwhile (an open file is one).
using NodeRef = std::shared_ptr<Node>;

// What stat would say.
struct NodeInfo {
  NodeType type;
  Mode mode;
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint64_t inode;       // unique for the life of the tree, never reused; the root's is 1
  std::uint64_t size;        // attribute_size for an attribute, a binary one's own, else 0
  std::uint32_t links;       // 2 + subdirectories for a directory, else 1
  std::uint32_t generation;  // changes whenever the node, or a directory's set of children, does
  bool binary;               // an attribute of bytes at offsets
  bool removed;              // the node is gone, and this is what was last known
};

// One line of a listing.
struct Entry {
  std::string name;
  NodeType type;
  std::uint64_t inode;
};

// One change of the tree. A subtree that is added or removed in one step is one event, for its top.
struct Event {
  enum class Kind : std::uint8_t { added, removed, changed };
  Kind kind;
  std::string path;  // absolute
  std::uint64_t inode;
  std::uint64_t parent_inode;
};

class Tree;
class Directory;
class Transaction;

// Owns nodes that were published together: destroying it removes them. Move-only. The tree must outlive it.
class [[nodiscard]] NodeHandle {
 public:
  NodeHandle() = default;
  NodeHandle(NodeHandle&& other) noexcept;
  NodeHandle& operator=(NodeHandle&& other) noexcept;
  ~NodeHandle();  // as remove()

  explicit operator bool() const { return !nodes_.empty(); }
  // The first of the nodes (the only one, as a rule).
  const NodeRef& node() const;
  // The same as a directory.
  Directory directory() const;

  // Removes the nodes and all that is under them, in one step: they can no longer be found, and no show or
  // store of them begins any more. `done` is called, with success, when none is running on another thread
  // either: at once, or later on the thread of the last. (Calls on this thread's own stack are not waited
  // for, so an attribute may remove itself.) Never blocks. Removing what is gone already is a success.
  void remove(Done<> done);
  // The same, waiting. Hold no lock that a show or store may want. Not for threads that serve clients, unless
  // the attributes are known to answer at once.
  void remove();

  // Gives up ownership: the nodes stay until a directory above them is removed.
  void release();
  // Moves one of the nodes to a handle of its own; an empty handle when it is not among them.
  NodeHandle split(const NodeRef& node);

 private:
  friend class Tree;
  friend class Transaction;
  NodeHandle(Tree* tree, std::vector<NodeRef> nodes) : tree_(tree), nodes_(std::move(nodes)) {}

  Tree* tree_ = nullptr;
  std::vector<NodeRef> nodes_;
};

// A reference to a directory, cheap to copy. All members from any thread; the tree must outlive it.
//
// Errors of add_*: EEXIST (the name is taken), ENOENT (the directory has been removed), EINVAL (the name is
// empty, longer than 255 bytes, "." or "..", or has a slash or a NUL).
class Directory {
 public:
  Directory() = default;

  Result<NodeHandle> add_directory(std::string name, Mode mode = 0755) const;
  // An empty handle when is_visible leaves it out.
  Result<NodeHandle> add_attribute(AttributeSpec spec) const;
  // A link to a node of the same tree, rendered relative to this directory as sysfs does.
  Result<NodeHandle> add_link(std::string name, const NodeRef& target) const;
  Result<NodeHandle> add_link(std::string name, const Directory& target) const;
  // A link to an absolute path of the tree that need not exist.
  Result<NodeHandle> add_link_to_path(std::string name, std::string target) const;

  // Removes a child, whoever owns the handle, without waiting for calls that are running in it. Of several
  // callers exactly one succeeds (the kernel's device_remove_file_self); the others get ENOENT.
  Result<> remove(std::string_view name) const;

  explicit operator bool() const { return node_ != nullptr; }
  Tree& tree() const { return *tree_; }
  const NodeRef& node() const { return node_; }
  // Absolute; empty when it has been removed or was not published yet.
  std::string path() const;

 private:
  friend class Tree;
  friend class NodeHandle;
  friend class Transaction;
  Directory(Tree* tree, NodeRef node) : tree_(tree), node_(std::move(node)) {}

  Tree* tree_ = nullptr;
  NodeRef node_;
};

// The tree. All members from any thread.
class Tree {
 public:
  Tree();
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  Directory root() { return {this, root_}; }

  // --- Finding. Paths are absolute; the leading slash may be left out. ENOENT, ENOTDIR, ELOOP (more than 40
  // links).

  // As lstat: follows links everywhere but in the last component.
  Result<NodeRef> lookup(std::string_view path) const;
  // As stat: follows the last one too.
  Result<NodeRef> resolve(std::string_view path) const;
  // One step, no link followed.
  Result<NodeRef> child(const NodeRef& directory, std::string_view name) const;
  // Up to `limit` children in the order of their names, beginning after the name `after`. ENOENT when the
  // directory is gone.
  Result<std::vector<Entry>> list(const NodeRef& directory, std::string_view after = {},
                                  std::size_t limit = SIZE_MAX) const;
  // The names in a directory.
  Result<std::vector<std::string>> list(std::string_view path) const;
  NodeInfo info(const NodeRef& node) const;
  // ENODEV when it has been removed.
  Result<std::string> path_of(const NodeRef& node) const;
  // The text of a link, relative. EINVAL when it is none, ENOENT when its target is gone, ENODEV when it is.
  Result<std::string> read_link(const NodeRef& link) const;
  Result<std::string> read_link(std::string_view path) const;

  // --- Attributes, with the kernel's answers.

  // What open says, to root too: EACCES when no bit of the mode allows it to anybody, EISDIR, ENODEV.
  Result<> check_open(const NodeRef& node, bool for_reading, bool for_writing) const;
  // What read says on an open file: the text, cut to show_limit. EIO without a show, ENODEV when it is gone.
  // Of a binary one, the first binary_limit bytes.
  static constexpr std::size_t binary_limit = 65536;
  Result<std::string> show(const NodeRef& attribute);
  // What write says on an open file: the offset does not exist, an empty write completes with 0 and does not
  // reach store, of a longer one than attribute_size only the beginning does. EIO without a store, ENODEV
  // when it is gone.
  void store(const NodeRef& attribute, std::string_view text, Done<std::size_t> done, Writer writer = {});
  // The same of a binary attribute, at an offset (EINVAL of any other one): read gives 0 behind the end,
  // write EFBIG; what reaches over the end is cut.
  Result<std::size_t> read_at(const NodeRef& attribute, std::uint64_t offset, Bytes into);
  void write_at(const NodeRef& attribute, std::uint64_t offset, ConstBytes from, Done<std::size_t> done,
                Writer writer = {});
  // resolve, check_open and show or store.
  Result<std::string> read(std::string_view path);
  void write(std::string_view path, std::string_view text, Done<std::size_t> done, Writer writer = {});

  // --- Metadata. Kept until the node is removed. ENODEV, and EOPNOTSUPP for a link's mode.
  Result<> set_mode(const NodeRef& node, Mode mode);
  Result<> set_owner(const NodeRef& node, std::optional<std::uint32_t> uid, std::optional<std::uint32_t> gid);
  // Says that an attribute would show something else now (sysfs_notify).
  Result<> notify(const NodeRef& node);

  // --- Changes, in their order.
  Feed<Event>::Subscription subscribe(std::size_t capacity, Feed<Event>::Wake wake = {}) {
    return feed_.subscribe(capacity, std::move(wake));
  }

 private:
  friend class NodeHandle;
  friend class Directory;
  friend class Transaction;
  struct Attachment;
  struct Removal;
  struct Drain;
  struct Draining;
  struct Call;

  std::uint64_t next_inode() { return last_inode_.fetch_add(1, std::memory_order_relaxed) + 1; }
  Result<> attach(const std::vector<Attachment>& attachments);
  void remove(const std::vector<NodeRef>& nodes, Done<> done);
  Result<> remove_child(const NodeRef& directory, std::string_view name);
  void detach(Node& node, Removal& removal) UMDEV_REQUIRES(mutex_);
  void kill(Node& node, Removal& removal) UMDEV_REQUIRES(mutex_);
  void wait_for_calls_below(const Node& node, Removal& removal) UMDEV_REQUIRES(mutex_);
  void publish(Event::Kind kind, const Node& node) UMDEV_REQUIRES(mutex_);
  Result<NodeRef> walk(std::string_view path, bool follow_last) const UMDEV_REQUIRES(mutex_);
  Result<NodeRef> target_of(const Node& link) const UMDEV_REQUIRES(mutex_);
  Result<Attribute*> enter(Call& call);
  void leave(Call& call);

  mutable Mutex mutex_;
  // Dead attributes in which calls are running still, and who waits for these. Empty, as a rule.
  std::unordered_map<const Node*, Draining> draining_ UMDEV_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> last_inode_ = 0;
  const NodeRef root_;
  Feed<Event> feed_;
};

}  // namespace umdev::tree
