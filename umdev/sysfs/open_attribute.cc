#include "umdev/sysfs/open_attribute.h"

#include <algorithm>

namespace umdev::sysfs {

namespace {

// What one read of a binary attribute is answered with at most.
constexpr std::size_t largest_read = std::size_t{1} << 20;

std::string part_of(const std::string& text, std::uint64_t offset, std::size_t size) {
  return offset >= text.size() ? std::string() : text.substr(offset, size);
}

}  // namespace

Result<std::string> OpenAttribute::show(tree::Tree& tree, Text& text, std::uint64_t offset,
                                        std::size_t size) {
  if (offset != 0) {
    if (tree.info(text.node).removed) return fail(ENODEV, "the attribute is gone");
    Lock lock(text.mutex);
    if (text.shown) return part_of(*text.shown, offset, size);
  }
  std::string shown = UMDEV_TRY(tree.show(text.node));
  Lock lock(text.mutex);
  text.shown = std::move(shown);
  return part_of(*text.shown, offset, size);
}

Result<std::string> OpenAttribute::read_bytes(tree::Tree& tree, const tree::NodeRef& node,
                                              std::uint64_t offset, std::size_t size) {
  std::string bytes(std::min(size, largest_read), '\0');
  bytes.resize(UMDEV_TRY(tree.read_at(node, offset, std::as_writable_bytes(std::span(bytes)))));
  return bytes;
}

struct OpenAttribute::Reading {
  tree::Tree& tree;
  std::shared_ptr<Text> text;
  bool binary;
  std::uint64_t offset;
  std::size_t size;
  Done<std::string> done;
};

void OpenAttribute::read(const fuse::Caller&, std::uint64_t offset, std::size_t size,
                         Done<std::string> done) {
  auto reading = std::make_shared<Reading>(tree_, text_, binary_, offset, size, std::move(done));
  executor_.post([reading] {
    Reading& r = *reading;
    r.done(r.binary ? read_bytes(r.tree, r.text->node, r.offset, r.size)
                    : show(r.tree, *r.text, r.offset, r.size));
  });
}

struct OpenAttribute::Writing {
  tree::Tree& tree;
  tree::NodeRef node;
  bool binary;
  tree::Writer writer;
  std::uint64_t offset;
  std::string content;
  Done<std::size_t> done;
};

void OpenAttribute::write(const fuse::Caller& caller, std::uint64_t offset, ConstBytes from,
                          Done<std::size_t> done) {
  const std::size_t size = binary_ ? from.size() : std::min(from.size(), tree::attribute_size);
  auto writing = std::make_shared<Writing>(
      tree_, text_->node, binary_, tree::Writer{.uid = caller.uid, .gid = caller.gid, .pid = caller.pid},
      offset, std::string(reinterpret_cast<const char*>(from.data()), size), std::move(done));
  executor_.post([writing] {
    Writing& w = *writing;
    if (w.binary)
      w.tree.write_at(w.node, w.offset, std::as_bytes(std::span(w.content)), std::move(w.done), w.writer);
    else
      w.tree.store(w.node, w.content, std::move(w.done), w.writer);
  });
}

}  // namespace umdev::sysfs
