#include "tests/integration/sysfs/tree_world.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "umdev/device/class.h"

namespace umdev::test {
namespace {

class Memory final : public tree::BinaryAttribute {
 public:
  std::uint64_t size() const override { return bytes_.size(); }
  Result<std::size_t> read(std::uint64_t offset, Bytes into) override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return into.size();
  }
  void write(const tree::Writer&, std::uint64_t offset, ConstBytes from, Done<std::size_t> done) override {
    std::ranges::copy(from, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    done(from.size());
  }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(10000);
};

TreeWorld::Knob& knob_of(const device::DeviceAttribute& attribute) {
  return *static_cast<TreeWorld::Knob*>(const_cast<void*>(attribute.context));
}

Result<std::string> show_knob(device::Device&, const device::DeviceAttribute& attribute) {
  TreeWorld::Knob& knob = knob_of(attribute);
  const std::size_t shows = ++knob.shows;
  return std::to_string(shows) + " shows " + std::to_string(knob.stores) + " stores " +
         std::to_string(knob.bytes) + " bytes\n";
}

void store_knob(device::Device&, const device::DeviceAttribute& attribute, std::string_view text,
                Done<std::size_t> done) {
  TreeWorld::Knob& knob = knob_of(attribute);
  ++knob.stores;
  knob.bytes = text.size();
  done(text.size());
}

Result<std::string> show_long(device::Device&, const device::DeviceAttribute&) {
  return std::string(5000, 'x');
}

// Waits for a completion that comes from another thread.
class Waiter {
 public:
  Done<> done() {
    return [ended = ended_](Result<>) { *ended = true; };
  }
  void wait() const {
    TreeWorld::wait_until([this] { return ended_->load(); });
  }

 private:
  const std::shared_ptr<std::atomic<bool>> ended_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

TreeWorld::TreeWorld() {
  std::string pattern = testing::TempDir() + "umdev-tree-XXXXXX";
  scratch = ::mkdtemp(pattern.data());
  knob_attributes[0] = {
      .name = "knob", .mode = 0644, .show = show_knob, .store = store_knob, .context = &knob};
  knob_attributes[1] = {
      .name = "long", .mode = 0444, .show = show_long, .store = nullptr, .context = nullptr};
  knob_group.attributes = knob_attributes;
}

TreeWorld::~TreeWorld() {
  std::filesystem::remove_all(scratch);
}

void TreeWorld::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "changes owners, which only root may";
  daemon::DaemonOptions options{
      .runtime_directory = scratch + "/run", .config = daemon::default_config(), .mount_tree = true};
  options.limits.force_deadline = std::chrono::milliseconds(200);
  options.limits.access_deadline = std::chrono::minutes(5);
  daemon = daemon::Daemon::start(options, log).value();
  if (daemon->tree_mount() == nullptr) GTEST_SKIP() << log.last_warning();
  holding_registration = daemon->bus().register_driver(holding).value();
  script->parent_groups = knob_groups;
  binary = daemon->tree()
               .root()
               .add_attribute({.name = "binary", .mode = 0644, .attribute = std::make_unique<Memory>()})
               .value();
  ASSERT_TRUE(add_parent("card"));
  mdev::ParentSpec held = card_spec();
  held.bus_driver = "holding";
  ASSERT_TRUE(add_parent("held", std::move(held)));
}

void TreeWorld::TearDown() {
  holding->let_go();
  while (!parents.empty()) remove_parent(parents.begin()->first);
  if (holding_registration) {
    Waiter waiter;
    holding_registration.unregister(RemovePolicy::force, waiter.done());
    waiter.wait();
  }
  binary.remove();
  if (!daemon) return;
  EXPECT_TRUE(daemon->stop());
  daemon.reset();
}

mdev::ParentSpec TreeWorld::card_spec() {
  mdev::ParentSpec spec;
  spec.types = {{.name = "1",
                 .pretty_name = "",
                 .description = "line one\nline two",
                 .device_api = "vfio-pci",
                 .cost = {}},
                {.name = "2", .pretty_name = "", .description = "", .device_api = "vfio-pci", .cost = {}}};
  spec.max_instances = 2;
  return spec;
}

Result<> TreeWorld::add_parent(const std::string& name, mdev::ParentSpec spec) {
  device::Model& model = daemon->bus().model();
  Added& added = parents[name];
  added.device = std::make_shared<device::Device>(
      model, device::Device::Spec{.name = name, .device_class = device::Class::create(model, name).value()});
  EXPECT_TRUE(added.device->add());
  spec.device = added.device;
  added.registration =
      UMDEV_TRY(daemon->bus().register_parent(std::move(spec), std::make_unique<FakeParent>(script)));
  return {};
}

std::shared_ptr<std::atomic<bool>> TreeWorld::begin_removing_parent(const std::string& name,
                                                                    RemovePolicy policy) {
  auto ended = std::make_shared<std::atomic<bool>>(false);
  parents.at(name).registration.unregister(policy, [ended](Result<>) { *ended = true; });
  return ended;
}

void TreeWorld::remove_parent(const std::string& name) {
  Added added = std::move(parents.at(name));
  parents.erase(name);
  if (added.registration) {
    Waiter waiter;
    added.registration.unregister(RemovePolicy::force, waiter.done());
    waiter.wait();
  }
  Waiter waiter;
  added.device->remove(RemovePolicy::force, waiter.done());
  waiter.wait();
}

void TreeWorld::create(const std::string& parent, const std::string& uuid) {
  Waiter waiter;
  daemon->bus().create({.parent = parent,
                        .type = parent + "-1",
                        .uuid = Uuid::parse(uuid).value(),
                        .owner = {},
                        .attributes = {}},
                       waiter.done());
  waiter.wait();
}

vfio_user::Client TreeWorld::use(const std::string& uuid) {
  auto client =
      vfio_user::Client::connect(daemon->runtime_directory() + "/vfio-user/" + uuid + ".sock").value();
  EXPECT_TRUE(client.negotiate());
  return client;
}

}  // namespace umdev::test
