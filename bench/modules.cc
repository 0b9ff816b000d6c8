// What the kernel's interface costs: one driver, as a C module and as a native one, read by the same user.
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "apps/umdevd/daemon.h"
#include "bench/conversation.h"
#include "bench/machine.h"
#include "bench/null_daemon.h"
#include "bench/sections.h"
#include "tests/module/gauge/gauge.h"
#include "umdev/vfio_user/client.h"

namespace umdev::bench {
namespace {

constexpr std::uint32_t region = 0;
constexpr std::uint32_t access_size = 4;
constexpr std::size_t reads_per_sample = 1000;

// Not "gauge": so the module's parent is called.
const daemon::DriverEntry native_driver{
    .name = "native", .options = {}, .make = [](std::span<const std::uint32_t>) -> daemon::MadeParent {
      return {gauge::GaugeParent::spec(), std::make_unique<gauge::GaugeParent>()};
    }};

// A daemon that has both, and an instance of each.
class TwoDrivers {
 public:
  TwoDrivers() {
    daemon::DaemonOptions options{
        .runtime_directory = directory_.path() + "/run", .config = {}, .workers = 1};
    options.config.parents.push_back({.name = "native", .driver = &native_driver, .options = {}});
    options.modules.push_back({.path = UMDEV_BENCH_MODULE});
    auto started = daemon::Daemon::start(std::move(options), log_);
    if (!started) give_up(started.error());
    daemon_ = std::move(*started);
  }

  Uuid create(const char* parent, const char* type, std::size_t number) {
    const Uuid uuid = uuid_of(number);
    wait_for(
        [&](Done<> done) {
          daemon_->bus().create({.parent = parent, .type = type, .uuid = uuid, .owner = {}, .attributes = {}},
                                std::move(done));
        },
        parent);
    return uuid;
  }
  void remove(const Uuid& uuid) { remove_null(*daemon_, uuid); }

  vfio_user::Client client(const Uuid& uuid) {
    auto client = must(vfio_user::Client::connect(daemon_->socket_of(uuid).path), "connecting");
    limit_silence(client.channel().socket());
    must(client.negotiate(), "VERSION");
    return client;
  }

  // The device opened without a socket.
  struct OpenDevice {
    std::shared_ptr<vfio::Container> container;
    std::shared_ptr<vfio::GroupFile> group;
    std::shared_ptr<vfio::DeviceFile> file;
  };
  OpenDevice open(const Uuid& uuid) {
    const auto device = must(daemon_->bus().find(uuid), "the instance")->vfio_device();
    OpenDevice open{.container = daemon_->core().open_container(),
                    .group = open_group(device->group()->iommu_group().number()),
                    .file = {}};
    must(open.group->set_container(open.container), "SET_CONTAINER");
    must(open.container->set_iommu(abi::vfio_type1v2_iommu), "SET_IOMMU");
    const auto opened = std::make_shared<std::promise<Result<std::shared_ptr<vfio::DeviceFile>>>>();
    open.group->get_device(uuid.to_string(), [opened](Result<std::shared_ptr<vfio::DeviceFile>> file) {
      opened->set_value(std::move(file));
    });
    open.file = must(opened->get_future().get(), "opening the device");
    return open;
  }

 private:
  // A session that has had it ends a little later than its client.
  std::shared_ptr<vfio::GroupFile> open_group(std::uint32_t number) {
    constexpr int attempts = 5000;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      auto group = daemon_->core().open_group(number);
      if (group || group.error().code != EBUSY) return must(std::move(group), "a group");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    give_up("the session does not end");
  }

  NullLog log_;
  ScratchDirectory directory_;
  std::unique_ptr<daemon::Daemon> daemon_;
};

Operation reading(vfio::DeviceFile& file) {
  return {.run =
              [&file, owner = std::make_shared<std::array<std::byte, access_size>>()](std::size_t times) {
                for (std::size_t i = 0; i < times; ++i)
                  file.read(region, 0, *owner, owner, [](Result<std::size_t> done) {
                    if (!done || *done != access_size) give_up("a read");
                  });
              },
          .times = reads_per_sample};
}

Operation asking(vfio_user::Client& client) {
  return {.run =
              [exchange = Exchange(client.channel().socket(), read_request(region, access_size),
                                   reply_head + access_size)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) exchange();
              },
          .times = 1};
}

}  // namespace

void measure_modules(const Effort& effort, Report& report) {
  TwoDrivers drivers;
  const Uuid native = drivers.create("native", "native-1", 1);
  const Uuid module = drivers.create("gauge", "gauge-1", 2);
  report.section("4 bytes of a driver's register: a C module beside the same as a native driver");
  {
    const auto native_client = std::make_unique<vfio_user::Client>(drivers.client(native));
    const auto module_client = std::make_unique<vfio_user::Client>(drivers.client(module));
    const std::array operations{asking(*native_client), asking(*module_client)};
    const auto samples = measure(effort, operations);
    report.add(row_of("REGION_READ, native driver", samples[0]));
    report.add(row_of("REGION_READ, C module", samples[1], samples.data()));
  }
  {
    const auto native_device = drivers.open(native);
    const auto module_device = drivers.open(module);
    const std::array operations{reading(*native_device.file), reading(*module_device.file)};
    const auto samples = measure(effort, operations);
    report.add(cost_row("DeviceFile::read, native driver", samples[0]));
    report.add(cost_row("DeviceFile::read, C module", samples[1], samples.data()));
  }
  drivers.remove(native);
  drivers.remove(module);
}

}  // namespace umdev::bench
