#include "umdev/device/model.h"

namespace umdev::device {

Result<std::unique_ptr<Model>> Model::create(tree::Tree& tree) {
  std::unique_ptr<Model> model(new Model(tree));
  UMDEV_TRY(model->publish());
  return model;
}

Result<> Model::publish() {
  tree::Transaction transaction(tree_);
  const tree::Directory root = tree_.root();
  devices_ = transaction.add_directory(root, "devices");
  virtual_devices_ = transaction.add_directory(devices_, "virtual");
  buses_ = transaction.add_directory(root, "bus");
  classes_ = transaction.add_directory(root, "class");
  iommu_groups_ = transaction.add_directory(transaction.add_directory(root, "kernel"), "iommu_groups");
  roots_ = UMDEV_TRY(transaction.commit());
  return {};
}

Result<SharedDirectory> SharedDirectory::acquire(Model& model, const tree::Directory& parent,
                                                 std::string name) {
  SharedDirectory shared;
  Model::SharedKey key{parent.node(), std::move(name)};
  Lock lock(model.mutex_);
  auto found = model.shared_.find(key);
  if (found == model.shared_.end()) {
    Model::Shared made{.nodes = UMDEV_TRY(parent.add_directory(key.second))};
    found = model.shared_.emplace(std::move(key), std::move(made)).first;
  }
  ++found->second.users;
  shared.model_ = &model;
  shared.parent_ = parent.node();
  shared.directory_ = found->second.nodes.directory();
  shared.name_ = &found->first.second;
  return shared;
}

void SharedDirectory::release() {
  if (model_ == nullptr) return;
  Model& model = *std::exchange(model_, nullptr);
  Lock lock(model.mutex_);
  const auto found = model.shared_.find(Model::SharedKey{parent_, *name_});
  if (--found->second.users != 0) return;
  // Under the lock, so that the name is free when the next user comes. The directory is empty: nothing waits,
  // and nothing of anyone's is destroyed.
  found->second.nodes.remove(Done<>([](Result<>) {}));
  model.shared_.erase(found);
}

SharedDirectory::SharedDirectory(SharedDirectory&& other) noexcept
    : model_(std::exchange(other.model_, nullptr)),
      parent_(std::move(other.parent_)),
      directory_(std::move(other.directory_)),
      name_(other.name_) {}

SharedDirectory& SharedDirectory::operator=(SharedDirectory&& other) noexcept {
  if (this != &other) {
    release();
    model_ = std::exchange(other.model_, nullptr);
    parent_ = std::move(other.parent_);
    directory_ = std::move(other.directory_);
    name_ = other.name_;
  }
  return *this;
}

SharedDirectory::~SharedDirectory() {
  release();
}

}  // namespace umdev::device
