// A client of a DMA engine that has copies going all the time: it says nothing while the engine works, so
// that a move finds the engine in the middle of its user's memory. It ends when its standard input does, and
// fails at the first error, when an interrupt is missing, or when a byte has not been copied.
//
//   moved_dma_client SOCKET
//
// Prints "ready" when it has begun, and at its end what it did.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "drivers/ioat/spec.h"
#include "umdev/abi/pci.h"
#include "umdev/abi/vfio.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/mapping.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio_user/client.h"

namespace umdev::vfio_user {
namespace {

namespace spec = ioat::spec;

constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
constexpr std::uint32_t registers = spec::registers_bar;
constexpr std::uint64_t channel = spec::channel_size;  // the first one's registers
constexpr int patience = 30'000;                       // milliseconds

// The client's memory: descriptors, the word that completions go to, what is copied, and where to. It is
// copied over and over, so that nearly all the time is the engine's.
constexpr std::size_t pieces = 64;
constexpr std::size_t descriptors = 16 * pieces;
constexpr std::uint64_t piece = 64U << 10;
constexpr std::uint64_t data_size = pieces * piece;
constexpr std::uint64_t status = descriptors * spec::descriptor_size;
constexpr std::uint64_t source = status + 4096;
constexpr std::uint64_t destination = source + data_size;
constexpr std::uint64_t memory_size = destination + data_size;

struct Memory {
  os::UniqueFd file;
  os::Mapping mapping;
  Bytes at(std::uint64_t address, std::uint64_t size) const {
    return mapping.writable_bytes().subspan(address, size);
  }
};

Result<Memory> make_memory() {
  Memory memory;
  memory.file = UMDEV_TRY(os::create_memfd("guest", memory_size));
  memory.mapping =
      UMDEV_TRY(os::Mapping::of_fd(memory.file.get(), 0, memory_size, os::Protection::read_write));
  for (std::size_t i = 0; i < descriptors; ++i) {
    const std::uint64_t offset = i % pieces * piece;
    const Bytes descriptor = memory.at(i * spec::descriptor_size, spec::descriptor_size);
    const bool last = i + 1 == descriptors;
    const std::uint32_t control = last ? spec::control_int | spec::control_completion : 0;
    static_cast<void>(store_le(descriptor, spec::descriptor_size_field, static_cast<std::uint32_t>(piece)));
    static_cast<void>(store_le(descriptor, spec::descriptor_control, control));
    static_cast<void>(store_le(descriptor, spec::descriptor_source, source + offset));
    static_cast<void>(store_le(descriptor, spec::descriptor_destination, destination + offset));
    static_cast<void>(
        store_le(descriptor, spec::descriptor_next, (i + 1) % descriptors * spec::descriptor_size));
  }
  return memory;
}

Result<> set_up(Client& client, const Memory& memory, const os::EventFd& event) {
  UMDEV_TRY(client.negotiate());
  UMDEV_TRY(client.dma_map(0, memory_size, abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                           memory.file.get()));
  UMDEV_TRY(client.write<std::uint16_t>(config, abi::pci_command,
                                        abi::pci_command_memory | abi::pci_command_master));
  const int fd = event.get();
  UMDEV_TRY(client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                             .index = abi::vfio_pci_msix_irq_index,
                             .start = 0,
                             .count = 1,
                             .eventfds = std::span(&fd, 1),
                             .bools = {}}));
  // The first vector: an address, data, not masked.
  UMDEV_TRY(client.write<std::uint64_t>(registers, spec::msix_table, 0xfee00000));
  UMDEV_TRY(client.write<std::uint64_t>(registers, spec::msix_table + 8, 1));
  UMDEV_TRY(client.write<std::uint8_t>(registers, spec::intrctrl,
                                       spec::intrctrl_master_int_en | spec::intrctrl_msix_vector_control));
  UMDEV_TRY(client.write<std::uint64_t>(registers, channel + spec::chancmp, status));
  return client.write<std::uint64_t>(registers, channel + spec::chainaddr, 0);
}

Result<> wait_for(const os::EventFd& event) {
  pollfd interrupt{.fd = event.get(), .events = POLLIN, .revents = 0};
  if (::poll(&interrupt, 1, patience) != 1) return fail(ETIMEDOUT, "no interrupt came");
  if (event.take() != 1) return fail(EIO, "an interrupt came twice");
  return {};
}

Result<> copy(Client& client, const Memory& memory, const os::EventFd& event, std::uint16_t round) {
  const Bytes from = memory.at(source, data_size);
  const Bytes to = memory.at(destination, data_size);
  std::memset(from.data(), static_cast<int>(round & 0xffU), from.size());
  for (std::uint64_t i = 0; i < pieces; ++i) static_cast<void>(store_le(from, i * piece, round * pieces + i));
  // The running total of descriptors.
  const auto total = static_cast<std::uint16_t>((round + 1U) * descriptors);
  UMDEV_TRY(client.write<std::uint16_t>(registers, channel + spec::dmacount, total));
  UMDEV_TRY(wait_for(event));
  if (std::memcmp(from.data(), to.data(), from.size()) != 0) return fail(EIO, "something was not copied");
  const std::uint64_t last = (descriptors - 1) * spec::descriptor_size;
  const std::uint64_t done = last | static_cast<std::uint64_t>(spec::State::done);
  if (*load_le<std::uint64_t>(memory.at(status, 8), 0) != done ||
      UMDEV_TRY(client.read<std::uint64_t>(registers, channel + spec::chansts)) != done)
    return fail(EIO, "the engine says something else than that it is done");
  return client.write<std::uint16_t>(registers, channel + spec::chanctrl, spec::chanctrl_int_rearm);
}

bool input_has_ended() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, 0) == 1;
}

Result<std::uint16_t> run(const std::string& path) {
  Client client = UMDEV_TRY(Client::connect(path));
  const Memory memory = UMDEV_TRY(make_memory());
  const os::EventFd event = UMDEV_TRY(os::EventFd::create());
  UMDEV_TRY(set_up(client, memory, event));
  std::uint16_t round = 0;
  while (!input_has_ended()) {
    UMDEV_TRY(copy(client, memory, event, round));
    if (++round == 1 && (std::puts("ready") < 0 || std::fflush(stdout) != 0))
      return fail(EPIPE, "nobody listens");
  }
  return round;
}

}  // namespace
}  // namespace umdev::vfio_user

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto rounds = umdev::vfio_user::run(argv[1]);
  if (!rounds) {
    std::fprintf(stderr, "moved_dma_client: %s (%d)\n", std::string(rounds.error().text).c_str(),
                 rounds.error().code);
    return 1;
  }
  std::printf("%u rounds, as many interrupts\n", static_cast<unsigned>(*rounds));
  return 0;
}
