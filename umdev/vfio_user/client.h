// A vfio-user client: one method a command, each waits for its reply; or many commands at once, whose replies
// are collected later. Serves the server's DMA_READ and DMA_WRITE of memory that was lent without a file
// whenever it waits for something.
//
// Threads: one at a time. Errors: the server's errno, or those of the channel (ETIMEDOUT, EPIPE, ECONNRESET),
// or EPROTO for a reply that does not fit its command.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_user.h"
#include "umdev/vfio_user/client_channel.h"
#include "umdev/vfio_user/version.h"

namespace umdev::vfio_user {

// A region as the server described it.
struct ClientRegion {
  abi::VfioUserRegionInfo info{};
  std::vector<std::byte> capabilities;  // what followed; info.cap_offset counts from the start of `info`
  os::UniqueFd fd;                      // to map it, at info.offset; empty when it cannot be
};

// What is passed with SET_IRQS: descriptors stay the caller's.
struct ClientIrqs {
  std::uint32_t flags = 0;  // abi::vfio_irq_set_*
  std::uint32_t index = 0;
  std::uint32_t start = 0;
  std::uint32_t count = 0;
  std::span<const int> eventfds;  // one a vector, or none at all
  ConstBytes bools;               // with vfio_irq_set_data_bool
};

// REGION_IO_FDS. An entry's fd_index counts in `fds`: signalling that eventfd (write 8 bytes) stands for the
// write that the entry describes.
struct ClientIoFds {
  std::vector<abi::VfioUserIoFd> entries;
  std::vector<os::UniqueFd> fds;
};

// One command among many: which it was, and its reply or its error.
using Ticket = std::uint64_t;
struct Completion {
  Ticket ticket = 0;
  Result<Message> reply;
};

class Client {
 public:
  static constexpr std::chrono::nanoseconds usual_timeout = std::chrono::seconds(10);

  // Connects without a word.
  static Result<Client> connect(const std::string& path, std::chrono::nanoseconds timeout = usual_timeout);
  explicit Client(ClientChannel channel);
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;

  // What negotiate() says unless it is told otherwise: as much as a server of this library takes, and no twin
  // socket.
  static Capabilities usual_offer();
  // VERSION: first of all. The server's answer. EPROTO for an answer that contradicts itself.
  Result<VersionMessage> negotiate(const Capabilities& offer = usual_offer());

  // --- Memory.

  // Lends `size` bytes at `iova`: those at `offset` of `fd`, or, without a descriptor, memory that the server
  // would have to ask for (lend() is how it is served). `flags` are abi::vfio_dma_map_flag_*.
  Result<> dma_map(std::uint64_t iova, std::uint64_t size, std::uint32_t flags, int fd = -1,
                   std::uint64_t offset = 0);
  // The number of bytes that were unmapped. Waits for the device's pins.
  Result<std::uint64_t> dma_unmap(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0);
  Result<std::uint64_t> dma_unmap_all() { return dma_unmap(0, 0, abi::vfio_dma_unmap_flag_all); }
  // Unmaps, and says which pages of `page_size` bytes the device wrote to: a bit a page, in 64-bit words.
  Result<std::vector<std::uint64_t>> dma_unmap_dirty(std::uint64_t iova, std::uint64_t size,
                                                     std::uint64_t page_size);

  // Lends memory of this process without a file: maps it, and from then on serves the server's accesses to it
  // whenever this client waits. The memory stays the caller's, and must live until take_back() of it, or the
  // client's end.
  Result<> lend(std::uint64_t iova, Bytes memory, std::uint32_t flags);
  Result<> take_back(std::uint64_t iova, std::uint64_t size);
  // Serves for `time`, with no command of its own under way.
  Result<> serve_for(std::chrono::nanoseconds time);

  // --- The device.

  Result<abi::VfioUserDeviceInfo> device_info();
  // Asks again when the capabilities did not fit.
  Result<ClientRegion> region_info(std::uint32_t index);
  // Asks again until all fit. Takes entries of 40 and of 48 bytes (libvfio-user's).
  Result<ClientIoFds> region_io_fds(std::uint32_t index);
  Result<abi::VfioUserIrqInfo> irq_info(std::uint32_t index);
  Result<> set_irqs(const ClientIrqs& irqs);

  // The number of bytes done. E2BIG beyond what was negotiated.
  Result<std::size_t> region_read(std::uint32_t region, std::uint64_t offset, Bytes into);
  Result<std::size_t> region_write(std::uint32_t region, std::uint64_t offset, ConstBytes from);
  // Asks for no reply: an error of the device's is not seen.
  Result<> region_write_posted(std::uint32_t region, std::uint64_t offset, ConstBytes from);
  // REGION_WRITE_MULTI: the number of writes done. ENOTTY where it was not agreed on.
  Result<std::uint64_t> region_write_multi(std::span<const abi::VfioUserWriteEntry> writes);
  Result<> region_write_multi_posted(std::span<const abi::VfioUserWriteEntry> writes);
  // A register; EPROTO when not all of it was done.
  template <std::unsigned_integral T>
  Result<T> read(std::uint32_t region, std::uint64_t offset) {
    T value{};
    const auto bytes = std::as_writable_bytes(std::span(&value, 1));
    if (UMDEV_TRY(region_read(region, offset, bytes)) != sizeof value) return fail(EPROTO, "a short read");
    return value;
  }
  template <std::unsigned_integral T>
  Result<> write(std::uint32_t region, std::uint64_t offset, T value) {
    if (UMDEV_TRY(region_write(region, offset, bytes_of(value))) != sizeof value)
      return fail(EPROTO, "a short write");
    return {};
  }

  Result<> reset();

  // DEVICE_FEATURE: `flags` as in the UAPI, `data` what stands behind the header; `room` is for the answer to
  // a GET. What stands behind the header in the answer.
  Result<std::vector<std::byte>> device_feature(std::uint32_t flags, ConstBytes data = {},
                                                std::uint32_t room = 4096);
  // MIG_DEVICE_STATE, as abi::vfio_device_state_* numbers.
  Result<std::uint32_t> migration_state();
  Result<> set_migration_state(std::uint32_t state);
  // Up to `size` bytes of the stream; fewer: there are no more (for now, in pre-copy).
  Result<std::vector<std::byte>> mig_data_read(std::uint32_t size);
  Result<> mig_data_write(ConstBytes data);

  // --- Many commands at once. The server handles them in order. Replies that are not collected are kept.

  // Puts a command into the queue; flush() and whatever waits sends the queue. Descriptors are duplicated.
  Result<Ticket> submit(abi::VfioUserCommand command, ConstBytes head, ConstBytes data = {},
                        std::span<const int> fds = {});
  Result<Ticket> submit_read(std::uint32_t region, std::uint64_t offset, std::uint32_t size);
  Result<Ticket> submit_write(std::uint32_t region, std::uint64_t offset, ConstBytes from);
  // Sends all that is queued; reads replies meanwhile, so that neither side waits for the other.
  Result<> flush();
  // The next reply, in the order in which they came. ENOENT when none is to come.
  Result<Completion> collect();
  std::size_t outstanding() const;
  // The data of a REGION_READ's reply.
  static Result<ConstBytes> read_data(const Message& reply);

  // Any command: sends it and waits for its reply; an error reply is its errno. Commands of the server's that
  // come meanwhile are served.
  Result<Message> call(abi::VfioUserCommand command, ConstBytes head, ConstBytes data = {},
                       std::span<const int> fds = {});

  // For what a well-behaved client does not do.
  ClientChannel& channel();

 private:
  struct State;
  Result<> post(abi::VfioUserCommand command, ConstBytes head, ConstBytes data);
  template <typename T>
  Result<T> ask(abi::VfioUserCommand command, const T& request);

  std::unique_ptr<State> state_;
};

}  // namespace umdev::vfio_user
