// A client killed at every message boundary, a thousand times: what it held is given back, nothing of anybody
// else's is touched.
#include <malloc.h>
#include <spawn.h>
#include <sys/wait.h>

#include <future>

#include "tests/integration/killed_client/pinning_device.h"
#include "tests/integration/vfio_user/live_server.h"

namespace umdev::vfio_user::test {
namespace {

// One more than the program has, so that it also ends by itself.
constexpr int steps = 21;
constexpr int rounds = 1000;
// Pools and buffers are as large as the least likely order of events made them.
constexpr int rounds_to_warm_up = 10 * steps;

// Runs the program against the socket; its wait status.
int run_client(const std::string& path, int deadly_step) {
  std::string program = UMDEV_KILLED_CLIENT;
  std::string socket = path;
  std::string step = std::to_string(deadly_step);
  char* arguments[] = {program.data(), socket.data(), step.data(), nullptr};
  pid_t pid = 0;
  EXPECT_EQ(::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environ), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

struct Counters {
  std::size_t descriptors = 0;
  std::size_t sessions = 0;
  std::uint32_t file_mappings = 0;
  std::uint64_t mapped_bytes = 0;
  std::uint32_t open_files = 0;
  int pins = 0;
  friend bool operator==(const Counters&, const Counters&) = default;
};

struct World {
  LiveServer live{{.workers = 2, .devices = 1}};
  std::shared_ptr<PinningDevice::State> state = std::make_shared<PinningDevice::State>();
  std::shared_ptr<device::Device> parent = std::make_shared<device::Device>(
      *live.model, device::Device::Spec{.name = "pinning", .device_class = live.device_class});
  Registration registration;
  Registration endpoint;
  std::string path = live.directory + "/pinning.sock";

  World() {
    EXPECT_TRUE(parent->add());
    auto registered = live.core
                          ->register_emulated_device(
                              std::make_unique<PinningDevice>(state, live.host->clock()), {.parent = parent})
                          .value();
    const std::uint32_t group = registered.device->group()->iommu_group().number();
    registration = std::move(registered.registration);
    endpoint =
        live.server->listen({.path = path, .device = {.iommu_group = group, .name = "pinning", .caller = {}}})
            .value();
  }
  ~World() {
    const auto wait_for = [](auto& ending, auto end) {
      std::promise<void> over;
      (ending.*end)(RemovePolicy::force, [&](Result<>) { over.set_value(); });
      over.get_future().wait();
    };
    wait_for(endpoint, &Registration::unregister);
    wait_for(registration, &Registration::unregister);
    wait_for(*parent, &device::Device::remove);
  }
  Counters counters() const {
    const ServerStatus status = live.server->status();
    return {.descriptors = open_descriptors(),
            .sessions = status.sessions.size(),
            .file_mappings = status.file_mappings,
            .mapped_bytes = status.mapped_bytes,
            .open_files = live.core->status().open_files,
            .pins = state->pins.load()};
  }
};

TEST(KilledClient, a_thousand_deaths_at_every_message_boundary_give_everything_back) {
  World world;
  // A neighbour on the same server goes on through all of it.
  Client neighbour = world.live.client(0);
  const Counters before = world.counters();
  std::size_t heap_before = 0;
  for (int round = 0; round < rounds; ++round) {
    const int deadly_step = round % steps + 1;
    const int status = run_client(world.path, deadly_step);
    if (deadly_step < steps) {
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
          << "step " << deadly_step << ": status " << status;
    } else {
      ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    }
    ASSERT_TRUE(neighbour.read<std::uint32_t>(board_ram, 0));
    world.live.log.clear();
    if (round == rounds_to_warm_up) {
      ASSERT_TRUE(eventually([&] { return world.counters() == before; }));
      heap_before = ::mallinfo2().uordblks;
    }
  }
  EXPECT_TRUE(eventually([&] { return world.counters() == before; }));
  EXPECT_EQ(world.state->opens, world.state->closes);
  EXPECT_EQ(world.state->pins, 0);
  // A leak of one small object a round would show; one receive buffer may be on its way back.
  EXPECT_LT(::mallinfo2().uordblks, heap_before + (32U << 10) + std::size_t{16} * rounds);
}

}  // namespace
}  // namespace umdev::vfio_user::test
