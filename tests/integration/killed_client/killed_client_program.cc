// A client that dies by SIGKILL after its N-th step: killed_client_program SOCKET N. Every step is one
// message, some of which it does not wait for, some of which it sends by halves. It ends with status 0 when
// it has fewer steps than N, 1 when a step failed.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio_user/client.h"

namespace umdev::vfio_user {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

class Steps {
 public:
  explicit Steps(int deadly) : deadly_(deadly) {}
  void operator()(bool succeeded) {
    if (!succeeded) std::exit(1);
    if (++done_ == deadly_) std::raise(SIGKILL);
  }

 private:
  const int deadly_;
  int done_ = 0;
};

// Sends the first `bytes` of a REGION_READ and no more.
bool send_part_of_read(Client& client, std::size_t bytes) {
  struct {
    abi::VfioUserHeader header;
    abi::VfioUserRegionAccess access;
  } message{};
  message.header.command = abi::vfio_user_region_read;
  message.header.size = sizeof message;
  message.access.count = 8;
  return client.channel().send(bytes_of(message).first(bytes)).has_value();
}

void run(Client client, Steps step) {
  step(true);
  step(client.negotiate().has_value());
  const os::UniqueFd memory = os::create_memfd("guest", 16 * page).value();
  step(client.dma_map(0, 8 * page, read_write, memory.get()).has_value());
  step(client.dma_map(0x100000, 8 * page, read_write, memory.get(), 8 * page).has_value());
  step(client.dma_map(0x200000, page, abi::vfio_dma_map_flag_read).has_value());
  step(client.device_info().has_value());
  step(client.region_info(0).has_value());
  step(client.irq_info(0).has_value());
  const os::EventFd event = os::EventFd::create().value();
  const int fd = event.get();
  step(client
           .set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                      .index = 0,
                      .start = 0,
                      .count = 1,
                      .eventfds = std::span(&fd, 1),
                      .bools = {}})
           .has_value());
  for (const std::uint64_t iova : {0UL, page, 0x100000UL, 0x101000UL})
    step(client.write<std::uint64_t>(0, 0, iova).has_value());
  step(client.read<std::uint64_t>(0, 16).has_value());
  step(client.dma_unmap(0x100000, 8 * page).has_value());
  step(client.reset().has_value());
  step(client.region_write_posted(0, 0, bytes_of(std::uint64_t{page})).has_value());
  step(send_part_of_read(client, 32));  // whole, but not waited for: the device is about to answer
  step(client.channel().receive().has_value());
  step(send_part_of_read(client, 7));  // half a header
}

}  // namespace

int run_program(int argc, char** argv) {
  if (argc != 3) return 2;
  auto client = Client::connect(argv[1]);
  if (!client) return 1;
  run(std::move(*client), Steps(std::atoi(argv[2])));
  return 0;
}

}  // namespace umdev::vfio_user

int main(int argc, char** argv) {
  return umdev::vfio_user::run_program(argc, argv);
}
