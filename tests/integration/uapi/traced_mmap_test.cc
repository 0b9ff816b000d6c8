// Who may have the daemon trace a program: whoever shows the program's memory, open for writing, and a
// listener at which the program waits, for a device that the program has open.
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "tests/integration/uapi/lent_tracers.h"
#include "tests/integration/uapi/node_world.h"
#include "umdev/abi/supervised.h"
#include "umdev/run/filter.h"
#include "umdev/run/supervisor.h"

namespace umdev::test {
namespace {

class TracedMmap : protected LentTracers, public NodeWorld {
 protected:
  explicit TracedMmap(const daemon::TracerLimits& limits = {})
      : LentTracers(limits), NodeWorld(tracers.get()) {}
  void TearDown() override {
    NodeWorld::TearDown();
    EXPECT_TRUE(tracers->end(std::chrono::seconds(10)));
  }

  static int open_memory_of(pid_t thread, int flags) {
    return ::open(("/proc/" + std::to_string(thread) + "/mem").c_str(), flags | O_CLOEXEC);
  }
  // The errno of a call about the calling thread.
  int ask(int memory, int listener, int device = -1) const {
    const int supervisor = ::open(node(abi::supervisor_node_name).c_str(), O_RDWR | O_CLOEXEC);
    abi::SupervisedTracedMmap words{.thread = ::gettid(),
                                    .listener = listener,
                                    .memory = memory,
                                    .padding = 0,
                                    .id = 1,
                                    .arguments = {0, 4096, PROT_READ, MAP_SHARED, 0, std::uint64_t{6} << 40}};
    words.arguments[4] = static_cast<std::uint64_t>(device);
    const int error = ::ioctl(supervisor, abi::supervised_traced_mmap, &words) < 0 ? errno : 0;
    ::close(supervisor);
    return error;
  }
};

TEST_F(TracedMmap, needs_the_memory_of_the_program_for_writing) {
  EXPECT_EQ(in_child([&] {
              const auto listener = run::install_filter();
              CHECK_OR_FAIL(listener);
              CHECK_OR_FAIL(ask(-1, listener->get()) == EBADF);
              CHECK_OR_FAIL(ask(open_memory_of(::gettid(), O_RDONLY), listener->get()) == EINVAL);
              CHECK_OR_FAIL(ask(open_memory_of(::getppid(), O_RDWR), listener->get()) == EINVAL);
              CHECK_OR_FAIL(ask(::memfd_create("mem", 0), listener->get()) == EINVAL);
              CHECK_OR_FAIL(ask(::open("/proc/self/maps", O_RDONLY), listener->get()) == EINVAL);
              return 0;
            }),
            0);
}

TEST_F(TracedMmap, needs_a_listener_at_which_the_program_waits) {
  EXPECT_EQ(in_child([&] {
              const int memory = open_memory_of(::gettid(), O_RDWR);
              CHECK_OR_FAIL(ask(memory, -1) == EBADF);
              CHECK_OR_FAIL(ask(memory, ::eventfd(0, 0)) == EINVAL);
              const int device = ::open(node("vfio/devices/vfio2").c_str(), O_RDWR);
              const auto listener = run::install_filter();
              CHECK_OR_FAIL(device >= 0 && listener);
              CHECK_OR_FAIL(ask(memory, listener->get(), device) == EPERM);
              return 0;
            }),
            0);
}

TEST_F(TracedMmap, needs_a_device_that_the_program_has_open) {
  EXPECT_EQ(in_child([&] {
              const int memory = open_memory_of(::gettid(), O_RDWR);
              const auto listener = run::install_filter();
              CHECK_OR_FAIL(listener);
              CHECK_OR_FAIL(ask(memory, listener->get(), -1) == EBADF);
              CHECK_OR_FAIL(ask(memory, listener->get(), memory) == EPERM);
              CHECK_OR_FAIL(ask(memory, listener->get(), ::open(node("vfio/4").c_str(), O_RDWR)) == ENODEV);
              return 0;
            }),
            0);
}

struct NoTracerLeft : TracedMmap {
  NoTracerLeft() : TracedMmap({.supervisors = 0}) {}
};

TEST_F(NoTracerLeft, the_supervisor_traces) {
  EXPECT_EQ(in_child([&] {
              ::close_range(3, ~0U, 0);
              auto supervisor = run::Supervisor::start(mount_directory_);
              const auto listener = run::install_filter();
              CHECK_OR_FAIL(supervisor && listener && supervisor->take_charge(*listener));
              const int device = ::open(node("vfio/devices/vfio2").c_str(), O_RDWR);
              const auto* at = static_cast<volatile std::uint32_t*>(
                  ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, off_t{6} << 40));
              CHECK_OR_FAIL(at != MAP_FAILED && *at == 0x06060606);
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace umdev::test
