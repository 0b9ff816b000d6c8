// Shows and stores, and how the removal of an attribute meets those that are running: kernfs's active
// references. A call holds its node's attribute from enter() to leave(). Removal marks the node dead, so that
// no call enters any more, and completes when those that are in have left. Calls of the removing thread
// itself are not waited for
// ("broken", in kernfs's word): an attribute may remove itself.
#include "umdev/tree/call.h"

#include <algorithm>

#include "umdev/tree/node.h"

namespace umdev::tree {

namespace {

// The innermost call on this thread's stack.
CallFrame*& innermost_call() {
  thread_local CallFrame* innermost = nullptr;
  return innermost;
}

// The part of the bytes at `offset` that lies before the end; all of them where there is none.
template <typename Range>
Range within(Range bytes, std::uint64_t offset, std::uint64_t end) {
  if (end == 0) return bytes;
  return offset >= end ? Range() : bytes.first(std::min<std::uint64_t>(bytes.size(), end - offset));
}

Result<std::string> read_beginning(BinaryAttribute& attribute, std::uint64_t size, std::size_t limit) {
  std::string text(size != 0 ? std::min<std::uint64_t>(size, limit) : limit, '\0');
  const std::size_t count = UMDEV_TRY(attribute.read(0, std::as_writable_bytes(std::span(text))));
  UMDEV_ASSERT(count <= text.size(), "an attribute gave more than it was asked for");
  text.resize(count);
  return text;
}

}  // namespace

std::uint32_t count_own_calls(const Node& node) {
  std::uint32_t count = 0;
  for (const CallFrame* frame = innermost_call(); frame != nullptr; frame = frame->outer) {
    if (frame->node.get() == &node) ++count;
  }
  return count;
}

struct Tree::Call : CallFrame {};

Result<Attribute*> Tree::enter(Call& call) {
  if (call.node->type == NodeType::directory) return fail(EISDIR, "a directory has no content");
  if (call.node->type == NodeType::link) return fail(EINVAL, "a link has no content");
  Lock lock(mutex_);
  if (call.node->state != Node::State::live) return fail(ENODEV, "the attribute is gone");
  AttributeNode& node = as_attribute(*call.node);
  ++node.calls;
  call.outer = std::exchange(innermost_call(), &call);
  return node.attribute.get();
}

void Tree::leave(Call& call) {
  innermost_call() = call.outer;
  std::unique_ptr<Attribute> unused;
  std::vector<std::shared_ptr<Drain>> drained;
  {
    Lock lock(mutex_);
    AttributeNode& node = as_attribute(*call.node);
    --node.calls;
    if (node.state == Node::State::live) return;
    const auto draining = draining_.find(&node);
    UMDEV_ASSERT(draining != draining_.end(), "a dead attribute with calls is draining");
    for (const auto& drain : draining->second.drains) {
      if (drain->remover != std::this_thread::get_id() && --drain->remaining == 0) drained.push_back(drain);
    }
    if (node.calls == 0) {
      draining_.erase(draining);
      unused = std::move(node.attribute);
    }
  }
  unused.reset();
  for (const auto& drain : drained) drain->done();
}

Result<> Tree::check_open(const NodeRef& node, bool for_reading, bool for_writing) const {
  if (node->type == NodeType::directory) return fail(EISDIR, "a directory has no content");
  if (node->type == NodeType::link) return fail(ELOOP, "a link is not opened itself");
  Lock lock(mutex_);
  if (node->state != Node::State::live) return fail(ENODEV, "the attribute is gone");
  // kernfs asks for the mode bits of root as well.
  if (for_reading && (node->mode & 0444) == 0) return fail(EACCES, "the attribute is not readable");
  if (for_writing && (node->mode & 0222) == 0) return fail(EACCES, "the attribute is not writable");
  return {};
}

Result<std::string> Tree::show(const NodeRef& node) {
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "a show must run without locks");
  Call call{{.node = node}};
  Attribute* const attribute = UMDEV_TRY(enter(call));
  BinaryAttribute* const binary = attribute->as_binary();
  Result<std::string> text =
      binary != nullptr ? read_beginning(*binary, as_attribute(*node).size, binary_limit) : attribute->show();
  leave(call);
  if (binary == nullptr && text && text->size() > show_limit) text->resize(show_limit);
  return text;
}

Result<std::size_t> Tree::read_at(const NodeRef& node, std::uint64_t offset, Bytes into) {
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "a read must run without locks");
  Call call{{.node = node}};
  Attribute* const attribute = UMDEV_TRY(enter(call));
  BinaryAttribute* const binary = attribute->as_binary();
  Result<std::size_t> count = fail(EINVAL, "the attribute is a text");
  if (binary != nullptr) {
    into = within(into, offset, as_attribute(*node).size);
    count = into.empty() ? 0 : binary->read(offset, into);
  }
  leave(call);
  UMDEV_ASSERT(!count || *count <= into.size(), "an attribute gave more than it was asked for");
  return count;
}

void Tree::write_at(const NodeRef& node, std::uint64_t offset, ConstBytes from, Done<std::size_t> done,
                    Writer writer) {
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "a write must run without locks");
  Call call{{.node = node}};
  const Result<Attribute*> attribute = enter(call);
  if (!attribute) {
    done(std::unexpected(attribute.error()));
    return;
  }
  BinaryAttribute* const binary = (*attribute)->as_binary();
  const ConstBytes inside = within(from, offset, as_attribute(*node).size);
  if (binary != nullptr && !inside.empty()) {
    binary->write(writer, offset, inside, std::move(done));
    leave(call);
    return;
  }
  leave(call);
  if (binary == nullptr) {
    done(fail(EINVAL, "the attribute is a text"));
  } else if (!from.empty()) {
    done(fail(EFBIG, "the offset is behind the end"));
  } else {
    done(0);
  }
}

void Tree::store(const NodeRef& node, std::string_view text, Done<std::size_t> done, Writer writer) {
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "a store must run without locks");
  Call call{{.node = node}};
  const Result<Attribute*> attribute = enter(call);
  if (!attribute) {
    done(std::unexpected(attribute.error()));
    return;
  }
  if (text.empty()) {
    leave(call);
    done(0);
    return;
  }
  if (BinaryAttribute* const binary = (*attribute)->as_binary())
    binary->write(writer, 0, within(std::as_bytes(std::span(text)), 0, as_attribute(*node).size),
                  std::move(done));
  else
    (*attribute)->store_from(writer, text.substr(0, attribute_size), std::move(done));
  leave(call);
}

Result<std::string> Tree::read(std::string_view path) {
  const NodeRef node = UMDEV_TRY(resolve(path));
  UMDEV_TRY(check_open(node, true, false));
  return show(node);
}

void Tree::write(std::string_view path, std::string_view text, Done<std::size_t> done, Writer writer) {
  const Result<NodeRef> node = resolve(path);
  if (!node) {
    done(std::unexpected(node.error()));
    return;
  }
  if (const Result<> opened = check_open(*node, false, true); !opened) {
    done(std::unexpected(opened.error()));
    return;
  }
  store(*node, text, std::move(done), writer);
}

}  // namespace umdev::tree
