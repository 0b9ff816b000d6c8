#include "bench/world.h"

#include <future>

#include "bench/conversation.h"
#include "drivers/null/null.h"
#include "umdev/iommu/type1.h"
#include "umdev/os/thread.h"

namespace umdev::bench {
namespace {

void end(Registration& registration) {
  const auto over = std::make_shared<std::promise<void>>();
  registration.unregister(RemovePolicy::force, [over](Result<>) { over->set_value(); });
  over->get_future().wait();
}

}  // namespace

World::World(Workers workers)
    : management_(must(os::WorkerPool::create(1), "a management thread")),
      workers_(must(os::WorkerPool::create(1), "a worker")),
      host_(std::make_unique<os::SystemHost>(management_->at(0), management_->at(0), log_)),
      model_(must(device::Model::create(tree_), "the device model")) {
  core_ =
      must(vfio::Core::create({.host = host_.get(), .model = model_.get(), .watcher = nullptr, .limits = {}}),
           "the core");
  device_class_ = must(device::Class::create(*model_, "bench"), "a class");
  type1_ = must(core_->register_iommu_driver(std::make_shared<iommu::Type1Driver>(host_->clock())), "type1");
  server_ = std::make_unique<vfio_user::Server>(
      vfio_user::Server::Config{.core = core_.get(), .workers = workers_.get(), .log = &log_, .limits = {}});
  if (workers == Workers::preferred) workers_->at(0).post([] { os::prefer_this_thread(); });
}

World::~World() {
  for (Instance& instance : instances_) end(instance.endpoint);
  server_.reset();
  for (Instance& instance : instances_) {
    end(instance.registration);
    instance.device.reset();
  }
  workers_->stop();
  management_->stop();
  instances_.clear();
  type1_ = {};
  core_.reset();
}

std::size_t World::add(const std::string& name, std::unique_ptr<vfio::Device> device) {
  Instance instance;
  instance.parent = std::make_shared<device::Device>(
      *model_, device::Device::Spec{.name = name, .device_class = device_class_});
  must(instance.parent->add(), name);
  auto registered =
      must(core_->register_emulated_device(std::move(device), {.parent = instance.parent}), name);
  instance.device = std::move(registered.device);
  instance.registration = std::move(registered.registration);
  instance.path = directory_.path() + "/" + name + ".sock";
  instance.group = instance.device->group()->iommu_group().number();
  instance.endpoint =
      must(server_->listen({.path = instance.path,
                            .device = {.iommu_group = instance.group, .name = name, .caller = {}}}),
           instance.path);
  instances_.push_back(std::move(instance));
  return instances_.size() - 1;
}

std::size_t World::add_null(const std::string& name) {
  return add(name, std::make_unique<null::Null>(null::Null::make_model()));
}

vfio_user::Client World::silent_client(std::size_t device) {
  auto client = must(vfio_user::Client::connect(instances_[device].path), "connecting");
  limit_silence(client.channel().socket());
  return client;
}

vfio_user::Client World::client(std::size_t device) {
  auto client = silent_client(device);
  must(client.negotiate(), "VERSION");
  return client;
}

World::OpenDevice World::open(std::size_t device) {
  const Instance& instance = instances_[device];
  OpenDevice open{.container = core_->open_container(),
                  .group = must(core_->open_group(instance.group), "the group"),
                  .file = {}};
  must(open.group->set_container(open.container), "SET_CONTAINER");
  must(open.container->set_iommu(abi::vfio_type1v2_iommu), "SET_IOMMU");
  const auto opened = std::make_shared<std::promise<Result<std::shared_ptr<vfio::DeviceFile>>>>();
  open.group->get_device(instance.parent->name(), [opened](Result<std::shared_ptr<vfio::DeviceFile>> file) {
    opened->set_value(std::move(file));
  });
  open.file = must(opened->get_future().get(), "opening the device");
  return open;
}

}  // namespace umdev::bench
