// An open attribute.
#pragma once

#include "umdev/fuse/file_system.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"
#include "umdev/tree/tree.h"

namespace umdev::sysfs {

// A read at 0 shows the attribute; reads behind it give the rest of that text, so that one who reads in small
// pieces sees one state. A write gives the whole buffer to one store, wherever its offset: at most
// attribute_size bytes of it. A binary attribute has offsets instead. When the node is gone both are ENODEV.
//
// Thread-safe. No lock is held while a show or store runs.
class OpenAttribute final : public fuse::File {
 public:
  OpenAttribute(tree::Tree& tree, Executor& executor, tree::NodeRef node, bool binary)
      : tree_(tree), executor_(executor), text_(std::make_shared<Text>(std::move(node))), binary_(binary) {}
  void read(const fuse::Caller& caller, std::uint64_t offset, std::size_t size,
            Done<std::string> done) override;
  void write(const fuse::Caller& caller, std::uint64_t offset, ConstBytes from,
             Done<std::size_t> done) override;

 private:
  // What was shown last; shared with shows that are running.
  struct Text {
    explicit Text(tree::NodeRef its_node) : node(std::move(its_node)) {}
    const tree::NodeRef node;
    Mutex mutex;
    std::optional<std::string> shown UMDEV_GUARDED_BY(mutex);
  };
  struct Reading;
  struct Writing;
  static Result<std::string> show(tree::Tree& tree, Text& text, std::uint64_t offset, std::size_t size);
  static Result<std::string> read_bytes(tree::Tree& tree, const tree::NodeRef& node, std::uint64_t offset,
                                        std::size_t size);

  tree::Tree& tree_;
  Executor& executor_;
  const std::shared_ptr<Text> text_;
  const bool binary_;
};

}  // namespace umdev::sysfs
