// A client of a serial card that uses it without a break: registers, memory that it lends, interrupts. It
// ends when its standard input does, and fails at the first error or when an interrupt is missing.
//
//   moved_client SOCKET
//
// Prints "ready" when it has begun, and at its end what it did.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "umdev/abi/vfio.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio_user/client.h"

namespace umdev::vfio_user {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
constexpr std::uint32_t port = 0;
// Registers of a 16550A, and what switches its one interrupt here on and tells of it.
constexpr std::uint64_t interrupt_enable = 1, interrupt_identification = 2, scratch = 7;
constexpr std::uint8_t transmitter_empty = 0x02;
constexpr std::uint8_t identified = 0x02;

struct Done {
  std::uint64_t rounds = 0;
  std::uint64_t interrupts = 0;
};

bool input_has_ended() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, 0) == 1;
}

Result<> set_up(Client& client, const os::UniqueFd& memory, const os::EventFd& event) {
  Capabilities offer = Client::usual_offer();
  offer.twin_socket = true;
  UMDEV_TRY(client.negotiate(offer));
  UMDEV_TRY(client.dma_map(0, 16 * page, read_write, memory.get()));
  const int fd = event.get();
  return client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                          .index = abi::vfio_pci_msi_irq_index,
                          .start = 0,
                          .count = 1,
                          .eventfds = std::span(&fd, 1),
                          .bools = {}});
}

// The transmitter is always empty: to be told so is one interrupt, and reading what it was takes it back.
Result<> use(Client& client, const os::UniqueFd& memory, const os::EventFd& event, Done& done) {
  const auto mark = static_cast<std::uint8_t>(done.rounds);
  UMDEV_TRY(client.write<std::uint8_t>(port, scratch, mark));
  UMDEV_TRY(client.write<std::uint8_t>(port, interrupt_enable, transmitter_empty));
  if ((UMDEV_TRY(client.read<std::uint8_t>(port, interrupt_identification)) & 0x0f) != identified)
    return fail(EIO, "the interrupt is not identified");
  UMDEV_TRY(client.write<std::uint8_t>(port, interrupt_enable, 0));
  UMDEV_TRY(client.dma_map(1 << 30, page, abi::vfio_dma_map_flag_read, memory.get(), 16 * page));
  if (UMDEV_TRY(client.dma_unmap(1 << 30, page)) != page) return fail(EIO, "another size was unmapped");
  for (std::uint64_t i = 0; i < 8; ++i) UMDEV_TRY(client.submit_read(port, scratch, 1));
  for (int i = 0; i < 8; ++i) {
    Completion completion = UMDEV_TRY(client.collect());
    const auto reply = UMDEV_TRY(std::move(completion.reply));
    const ConstBytes data = UMDEV_TRY(Client::read_data(reply));
    if (data.size() != 1 || data[0] != std::byte{mark}) return fail(EIO, "another byte than was written");
  }
  done.interrupts += event.take();
  ++done.rounds;
  return {};
}

Result<Done> run(const std::string& path) {
  Client client = UMDEV_TRY(Client::connect(path));
  const os::UniqueFd memory = UMDEV_TRY(os::create_memfd("guest", 17 * page));
  const os::EventFd event = UMDEV_TRY(os::EventFd::create());
  UMDEV_TRY(set_up(client, memory, event));
  Done done;
  while (!input_has_ended()) {
    UMDEV_TRY(use(client, memory, event, done));
    if (done.rounds == 1 && (std::puts("ready") < 0 || std::fflush(stdout) != 0))
      return fail(EPIPE, "nobody listens");
  }
  if (UMDEV_TRY(client.dma_unmap_all()) != 16 * page) return fail(EIO, "another size was mapped");
  if (done.interrupts != done.rounds) return fail(EIO, "interrupts were lost, or came twice");
  return done;
}

}  // namespace
}  // namespace umdev::vfio_user

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto done = umdev::vfio_user::run(argv[1]);
  if (!done) {
    std::fprintf(stderr, "moved_client: %s (%d)\n", std::string(done.error().text).c_str(),
                 done.error().code);
    return 1;
  }
  std::printf("%llu rounds, as many interrupts\n", static_cast<unsigned long long>(done->rounds));
  return 0;
}
