// A vfio-user client: one method a command, each waits for its reply. For demonstrations and tests; a VMM has
// its own.
//
// Threads: one at a time. Errors: the server's errno, or those of the channel (ETIMEDOUT, EPIPE, ECONNRESET),
// or EPROTO for a reply that does not fit its command.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
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

class Client {
 public:
  static constexpr Duration usual_timeout = std::chrono::seconds(10);

  // Connects without a word.
  static Result<Client> connect(const std::string& path, Duration timeout = usual_timeout);
  explicit Client(ClientChannel channel) : channel_(std::move(channel)) {}

  // VERSION: first of all. The server's answer.
  Result<VersionMessage> negotiate();

  // Lends `size` bytes at `iova`: those at `offset` of `fd`, or, without a descriptor, memory that the server
  // would have to ask for. `flags` are abi::vfio_dma_map_flag_*.
  Result<> dma_map(std::uint64_t iova, std::uint64_t size, std::uint32_t flags, int fd = -1,
                   std::uint64_t offset = 0);
  // The number of bytes that were unmapped. Waits for the device's pins.
  Result<std::uint64_t> dma_unmap(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0);
  Result<std::uint64_t> dma_unmap_all() { return dma_unmap(0, 0, abi::vfio_dma_unmap_flag_all); }

  Result<abi::VfioUserDeviceInfo> device_info();
  // Asks again when the capabilities did not fit.
  Result<ClientRegion> region_info(std::uint32_t index);
  Result<abi::VfioUserIrqInfo> irq_info(std::uint32_t index);
  Result<> set_irqs(const ClientIrqs& irqs);

  // The number of bytes done. E2BIG beyond what was negotiated.
  Result<std::size_t> region_read(std::uint32_t region, std::uint64_t offset, Bytes into);
  Result<std::size_t> region_write(std::uint32_t region, std::uint64_t offset, ConstBytes from);
  // Asks for no reply: an error of the device's is not seen.
  Result<> region_write_posted(std::uint32_t region, std::uint64_t offset, ConstBytes from);
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

  // Any command: sends it and waits for its reply, which may be an error reply. Requests of the server's that
  // come meanwhile are answered with ENOSYS.
  Result<Message> call(abi::VfioUserCommand command, ConstBytes head, ConstBytes data = {},
                       std::span<const int> fds = {});

  // For what a well-behaved client does not do.
  ClientChannel& channel() { return channel_; }

 private:
  Result<std::uint16_t> send(abi::VfioUserCommand command, ConstBytes head, ConstBytes data,
                             std::span<const int> fds, std::uint32_t flags);
  template <typename T>
  Result<T> ask(abi::VfioUserCommand command, const T& request);

  ClientChannel channel_;
  std::uint16_t next_id_ = 1;
  std::vector<std::byte> buffer_;
};

}  // namespace umdev::vfio_user
