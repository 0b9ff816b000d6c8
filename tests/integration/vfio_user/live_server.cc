#include "tests/integration/vfio_user/live_server.h"

#include <filesystem>
#include <future>

namespace umdev::vfio_user::test {
namespace {

// Ends a registration and waits for it.
void end(Registration& registration) {
  if (!registration) return;
  const auto over = std::make_shared<std::promise<void>>();
  registration.unregister(RemovePolicy::force, [over](Result<>) { over->set_value(); });
  over->get_future().wait();
}

// The same for a device of the model, which lives until it is removed.
void remove(device::Device& parent) {
  std::promise<void> over;
  parent.remove(RemovePolicy::force, [&over](Result<>) { over.set_value(); });
  over.get_future().wait();
}

}  // namespace

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), std::filesystem::directory_iterator{}));
}

LiveServer::LiveServer(Options options) {
  std::string pattern = (std::filesystem::temp_directory_path() / "umdev-XXXXXX").string();
  directory = ::mkdtemp(pattern.data());
  management = os::WorkerPool::create(1).value();
  workers = os::WorkerPool::create(options.workers).value();
  host = std::make_unique<os::SystemHost>(management->at(0), management->at(0), log);
  model = device::Model::create(tree).value();
  core = vfio::Core::create({.host = host.get(),
                             .model = model.get(),
                             .watcher = nullptr,
                             .limits = {.access_deadline = options.access_deadline,
                                        .force_deadline = std::chrono::seconds(2)}})
             .value();
  device_class = device::Class::create(*model, "test").value();
  type1 =
      core->register_iommu_driver(std::make_shared<iommu::Type1Driver>(
                                      host->clock(), umdev::Limits{.unmap_deadline = options.unmap_deadline}))
          .value();
  server = std::make_unique<Server>(
      Server::Config{.core = core.get(), .workers = workers.get(), .log = &log, .limits = options.limits});
  for (std::size_t i = 0; i < options.devices; ++i) add_instance("board" + std::to_string(i));
}

void LiveServer::add_instance(const std::string& name) {
  Instance instance;
  instance.parent = std::make_shared<device::Device>(
      *model, device::Device::Spec{.name = name, .device_class = device_class});
  EXPECT_TRUE(instance.parent->add());
  auto registered = core->register_emulated_device(std::make_unique<Board>(instance.state, host->clock()),
                                                   {.parent = instance.parent});
  EXPECT_TRUE(registered);
  instance.device = registered->device;
  instance.registration = std::move(registered->registration);
  instance.path = directory + "/" + name + ".sock";
  const std::uint32_t group = instance.device->group()->iommu_group().number();
  auto endpoint =
      server->listen({.path = instance.path, .device = {.iommu_group = group, .name = name, .caller = {}}});
  EXPECT_TRUE(endpoint);
  instance.endpoint = std::move(*endpoint);
  instances.push_back(std::move(instance));
}

LiveServer::~LiveServer() {
  for (Instance& instance : instances) end(instance.endpoint);
  server.reset();
  for (Instance& instance : instances) {
    {
      const std::scoped_lock lock(instance.state->mutex);
      instance.state->stuck.clear();
      instance.state->held.clear();
    }
    end(instance.registration);
    instance.device.reset();
    remove(*instance.parent);
    EXPECT_EQ(instance.state->opens, instance.state->closes);
  }
  workers->stop();
  management->stop();
  for (Instance& instance : instances) instance.state->timers.clear();
  instances.clear();
  type1 = {};
  core.reset();
  std::filesystem::remove_all(directory);
}

Client LiveServer::silent_client(std::size_t instance, Duration timeout) {
  return Client::connect(instances[instance].path, timeout).value();
}

Client LiveServer::client(std::size_t instance, Duration timeout) {
  Client client = silent_client(instance, timeout);
  const auto version = client.negotiate();
  EXPECT_TRUE(version) << version.error().text;
  return client;
}

bool LiveServer::is_idle() const {
  const ServerStatus status = server->status();
  const bool counted = status.counters.sessions_begun == status.counters.sessions_ended;
  return counted && status.sessions.empty() && status.file_mappings == 0 && status.mapped_bytes == 0 &&
         core->status().open_files == 0;
}

}  // namespace umdev::vfio_user::test
