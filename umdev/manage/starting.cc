#include "umdev/manage/starting.h"

#include <algorithm>

#include "umdev/tree/tree.h"

namespace umdev::manage {
namespace {

Result<tree::NodeRef> find_attribute(const tree::Directory& directory, std::string_view name) {
  tree::NodeRef node = directory.node();
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('/'), name.size());
    node = UMDEV_TRY(directory.tree().child(node, name.substr(0, end)));
    if (directory.tree().info(node).type == tree::NodeType::link)
      return fail(ENOENT, "the device has no such attribute: a link is none");
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  UMDEV_TRY(directory.tree().check_open(node, /*for_reading=*/false, /*for_writing=*/true));
  return node;
}

// Lives while it is under way, owned by the completion of the step that it waits for.
class Starting : public std::enable_shared_from_this<Starting> {
 public:
  Starting(mdev::Bus& bus, DefinitionKey key, const Definition& definition, mdev::Owner owner, Done<> done)
      : bus_(bus),
        key_(std::move(key)),
        type_(definition.type),
        attributes_(definition.attributes),
        owner_(std::move(owner)),
        done_(std::move(done)) {}

  void run() {
    bus_.create({.parent = key_.parent, .type = type_, .uuid = key_.uuid, .owner = owner_, .attributes = {}},
                [self = shared_from_this()](Result<> made) {
                  if (!made) return self->done_(made);
                  self->write_next();
                });
  }

 private:
  void write_next() {
    if (next_ == attributes_.size()) return done_();
    const auto& [name, value] = attributes_[next_++];
    const auto instance = bus_.find(key_.uuid);
    if (!instance) return done_(std::unexpected(instance.error()));  // somebody has removed it already
    const tree::Directory directory = (*instance)->directory();
    if (!directory) return done_(fail(ENODEV, "the device was removed while it was being started"));
    const auto attribute = find_attribute(directory, name);
    if (!attribute) return undo(attribute.error());
    directory.tree().store(*attribute, value,
                           Done<std::size_t>([self = shared_from_this()](Result<std::size_t> written) {
                             if (!written) return self->undo(written.error());
                             self->write_next();
                           }),
                           {.uid = owner_.uid, .gid = 0, .pid = owner_.pid});
  }

  void undo(Error error) {
    bus_.remove(key_.uuid, RemovePolicy::force,
                [self = shared_from_this(), error](Result<>) { self->done_(std::unexpected(error)); });
  }

  mdev::Bus& bus_;
  const DefinitionKey key_;
  const std::string type_;
  const mdev::Attributes attributes_;
  const mdev::Owner owner_;
  std::size_t next_ = 0;
  Done<> done_;
};

}  // namespace

void start_definition(mdev::Bus& bus, const DefinitionKey& key, const Definition& definition,
                      const mdev::Owner& owner, Done<> done) {
  std::make_shared<Starting>(bus, key, definition, owner, std::move(done))->run();
}

}  // namespace umdev::manage
