// Memory: lent and taken back, and reached by messages.
#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <condition_variable>
#include <mutex>

#include "bench/conversation.h"
#include "bench/devices.h"
#include "bench/peer.h"
#include "bench/sections.h"
#include "bench/world.h"
#include "umdev/abi/vfio.h"
#include "umdev/os/memfd.h"
#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::bench {
namespace {

// --- DMA_MAP and DMA_UNMAP.

constexpr std::uint64_t lent_size = 2U << 20;
constexpr std::uint64_t lent_iova = 1U << 30;

std::vector<std::byte> map_request() {
  const abi::VfioUserDmaMap map{.argsz = sizeof map,
                                .flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                                .offset = 0,
                                .iova = lent_iova,
                                .size = lent_size};
  return message_of(abi::vfio_user_dma_map, bytes_of(map));
}

std::vector<std::byte> unmap_request() {
  const abi::VfioUserDmaUnmap unmap{.argsz = sizeof unmap, .flags = 0, .iova = lent_iova, .size = lent_size};
  return message_of(abi::vfio_user_dma_unmap, bytes_of(unmap));
}

constexpr std::size_t map_reply = sizeof(abi::VfioUserHeader);
constexpr std::size_t unmap_reply = sizeof(abi::VfioUserHeader) + sizeof(abi::VfioUserDmaUnmap);

Operation map_and_unmap(int socket, int memory) {
  return {.run =
              [map = Exchange(socket, map_request(), map_reply, memory),
               unmap = Exchange(socket, unmap_request(), unmap_reply)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) {
                  map();
                  unmap();
                }
              },
          .times = 1};
}

void lend(vfio_user::Client& client, const os::UniqueFd& memory, std::size_t mappings) {
  for (std::size_t i = 1; i <= mappings; ++i)
    must(client.dma_map(lent_iova + i * lent_size, lent_size, abi::vfio_dma_map_flag_read, memory.get()),
         "DMA_MAP");
}

void lending(const Effort& effort, Report& report, const Placement& placement) {
  World world;
  auto client = world.client(world.add_null("null"));
  const os::UniqueFd memory = must(os::create_memfd("lent", lent_size), "a memfd");
  must(client.dma_map(lent_iova, lent_size, abi::vfio_dma_map_flag_read, memory.get()), "DMA_MAP");
  if (must(client.dma_unmap(lent_iova, lent_size), "DMA_UNMAP") != lent_size) give_up("DMA_UNMAP");
  BarePeer bare(bare_mapper({.map_request = map_request().size(),
                             .map_reply = map_reply,
                             .unmap_request = unmap_request().size(),
                             .unmap_reply = unmap_reply,
                             .memory = lent_size}));
  place(world.workers(), placement.far);
  place(bare.thread(), placement.far);
  const Pin pin(placement.near);
  std::vector<Operation> operations{map_and_unmap(bare.socket(), memory.get()),
                                    map_and_unmap(client.channel().socket(), memory.get())};
  const auto peer = Peer::start(placement);
  if (peer) operations.push_back(map_and_unmap(peer->client().channel().socket(), memory.get()));
  const auto samples = measure(effort, operations);
  report.add(row_of("bare socket, a descriptor received, mmap, munmap", samples[0]));
  report.add(row_of("DMA_MAP and DMA_UNMAP of 2 MiB", samples[1], samples.data()));
  if (peer) report.add(row_of("the other library, the same", samples[2], samples.data()));
}

void lending_more(const Effort& effort, Report& report, const Placement& placement) {
  const std::array<std::size_t, 2> counts{100, effort.quick ? 1000U : 60000U};
  World world;
  const os::UniqueFd memory = must(os::create_memfd("lent", lent_size), "a memfd");
  std::vector<vfio_user::Client> clients;
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < counts.size(); ++i)
    clients.push_back(world.client(world.add_null(fmt::format("null{}", i))));
  place(world.workers(), placement.far);
  const Pin pin(placement.near);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    lend(clients[i], memory, counts[i]);
    operations.push_back(map_and_unmap(clients[i].channel().socket(), memory.get()));
  }
  const auto samples = measure(effort, operations);
  report.add(row_of(fmt::format("DMA_MAP and DMA_UNMAP beside {} mappings", counts[0]), samples[0]));
  report.add(
      row_of(fmt::format("DMA_MAP and DMA_UNMAP beside {} mappings", counts[1]), samples[1], samples.data()));
}

// --- DMA_READ and DMA_WRITE.

constexpr std::size_t asked_size = 1U << 20;
constexpr std::size_t access_head = sizeof(abi::VfioUserHeader) + sizeof(abi::VfioUserDmaAccess);

// Serves a client's memory without looking at it: a reply to DMA_READ is always the same bytes, those of a
// DMA_WRITE are forgotten.
class Lender {
 public:
  explicit Lender(int socket) : socket_(socket), thread_([this] { serve(); }) {}
  ~Lender() {
    (void)::shutdown(socket_, SHUT_RDWR);
    thread_.join();
  }
  std::thread& thread() { return thread_; }

 private:
  void serve() {
    std::vector<std::byte> message(access_head + asked_size);
    while (receive_all(socket_, Bytes(message).first(access_head))) {
      const auto header = *load_struct<abi::VfioUserHeader>(message, 0);
      const std::size_t data = header.size - access_head;
      const bool reads = header.command == abi::vfio_user_dma_read;
      if (!reads && !receive_all(socket_, Bytes(message).subspan(access_head, data))) return;
      const std::size_t count =
          reads ? load_struct<abi::VfioUserDmaAccess>(message, sizeof(abi::VfioUserHeader))->count : 0;
      const abi::VfioUserHeader reply = vfio_user::make_reply(header, sizeof(abi::VfioUserDmaAccess) + count);
      std::ranges::copy(bytes_of(reply), message.begin());
      if (!send_all(socket_, ConstBytes(message).first(access_head + count))) return;
    }
  }

  const int socket_;
  std::thread thread_;
};

// Waits as a driver's thread would.
class Answer {
 public:
  Done<> done() {
    return [this](Result<> result) {
      std::scoped_lock lock(mutex_);
      result_ = result;
      changed_.notify_one();
    };
  }
  void wait(const char* what) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return result_.has_value(); });
    must(*std::exchange(result_, std::nullopt), what);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<>> result_;
};

Operation asking(vfio::User& user, bool writes) {
  return {.run =
              [&user, writes, answer = std::make_shared<Answer>(),
               data = std::vector<std::byte>(asked_size)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) {
                  if (writes)
                    user.dma_write(lent_iova, data, answer->done());
                  else
                    user.dma_read(lent_iova, data, answer->done());
                  answer->wait("memory by messages");
                }
              },
          .times = 1};
}

// Nanoseconds of `bytes`, as bytes in a second.
Row speed_row(std::string name, const Samples& samples, const Samples* limit = nullptr) {
  Row row = cost_row(std::move(name), samples, limit);
  row.unit = Unit::bytes_per_second;
  row.median = asked_size * 1e9 / row.median;
  if (row.limit) row.limit = asked_size * 1e9 / *row.limit;
  return row;
}

void reaching(const Effort& effort, Report& report, const Placement& placement) {
  World world;
  auto device = std::make_unique<LendingDevice>();
  const auto lending = device->lending();
  auto client = world.client(world.add("lending", std::move(device)));
  must(client.dma_map(lent_iova, asked_size, abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write),
       "DMA_MAP");
  BarePeer bare(bare_echo(access_head, access_head + asked_size));
  place(world.workers(), placement.far);
  Lender lender(client.channel().socket());
  place(lender.thread(), placement.near);
  place(bare.thread(), placement.near);
  const Pin pin(placement.far);
  std::vector<std::byte> request(access_head);
  const std::array operations{
      Operation{.run =
                    [exchange = Exchange(bare.socket(), request, access_head + asked_size)](
                        std::size_t times) mutable {
                      for (std::size_t i = 0; i < times; ++i) exchange();
                    },
                .times = 1},
      asking(*lending->user, false), asking(*lending->user, true)};
  const auto samples = measure(effort, operations);
  report.add(speed_row("bare socket, 32 bytes, 1 MiB back", samples[0]));
  report.add(speed_row("dma_read of 1 MiB by DMA_READ", samples[1], samples.data()));
  report.add(speed_row("dma_write of 1 MiB by DMA_WRITE", samples[2], samples.data()));
}

}  // namespace

void measure_memory(const Effort& effort, Report& report) {
  const Placement widest = widest_placement();
  report.section("Memory lent and taken back, two round trips, " + widest.name);
  lending(effort, report, widest);
  lending_more(effort, report, widest);
  for (const Placement& placement : placements()) {
    report.section("Memory reached by messages, " + placement.name);
    reaching(effort, report, placement);
  }
}

}  // namespace umdev::bench
