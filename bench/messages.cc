// A message there and back, beside the same bytes over a bare socket, and another library where there is one.
#include <fmt/format.h>

#include <array>
#include <thread>

#include "bench/conversation.h"
#include "bench/peer.h"
#include "bench/sections.h"
#include "bench/world.h"
#include "umdev/abi/vfio.h"
#include "umdev/os/spin_window.h"
#include "umdev/os/thread.h"

namespace umdev::bench {
namespace {

constexpr std::uint32_t access_size = 4;
constexpr std::uint32_t region = abi::vfio_pci_bar0_region_index;

Operation repeated(Exchange exchange) {
  return {.run =
              [exchange = std::move(exchange)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) exchange();
              },
          .times = 1};
}

// As umdevd --spin has it, where a processor is left over for that.
constexpr Duration spin = std::chrono::microseconds(100);

void look_before_sleeping(os::WorkerPool& workers) {
  workers.at(0).post([] { os::spin_of_this_thread().set_limit(spin); });
}

// An access by message, the same bytes through a thread that waits in read(), and through one in epoll.
struct Access {
  const char* name;
  std::vector<std::byte> request;
  std::size_t reply_size;
};

void round_trips(const Effort& effort, Report& report, const Placement& placement, const Access& access) {
  World world;
  const auto client = std::make_unique<vfio_user::Client>(world.client(world.add_null("null")));
  BarePeer bare(bare_echo(access.request.size(), access.reply_size));
  BarePeer epoll(bare_epoll_echo(access.request.size(), access.reply_size));
  place(world.workers(), placement.far);
  place(bare.thread(), placement.far);
  place(epoll.thread(), placement.far);
  const Pin pin(placement.near);
  std::vector operations{repeated(Exchange(bare.socket(), access.request, access.reply_size)),
                         repeated(Exchange(epoll.socket(), access.request, access.reply_size)),
                         repeated(Exchange(client->channel().socket(), access.request, access.reply_size))};
  const auto peer = Peer::start(placement);
  if (peer)
    operations.push_back(
        repeated(Exchange(peer->client().channel().socket(), access.request, access.reply_size)));
  // Its worker sleeps while the others are measured.
  const bool looks = placement.near != placement.far;
  World other_world(looks ? World::Workers::preferred : World::Workers::equal);
  if (looks) look_before_sleeping(other_world.workers());
  place(other_world.workers(), placement.far);
  const auto other = std::make_unique<vfio_user::Client>(other_world.client(other_world.add_null("null")));
  operations.push_back(repeated(Exchange(other->channel().socket(), access.request, access.reply_size)));
  const auto samples = measure(effort, operations);
  report.add(row_of(fmt::format("bare socket, {} bytes, {} back", access.request.size(), access.reply_size),
                    samples[0]));
  report.add(row_of("bare socket, the same behind epoll", samples[1], samples.data()));
  report.add(row_of(access.name, samples[2], samples.data()));
  if (peer) report.add(row_of("the other library, the same", samples[3], samples.data()));
  report.add(row_of(looks ? "the same by a worker that looks before it sleeps"
                          : "the same by a worker that is not preferred",
                    samples.back(), samples.data()));
}

// --- Posted writes: `batch` of them in one send, and at the end one read, to know that they have been done.

constexpr std::size_t posted_writes = 4096;
constexpr std::size_t server_buffer = 16384;

std::vector<std::byte> repeat(const std::vector<std::byte>& message, std::size_t times) {
  std::vector<std::byte> all;
  for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), message.begin(), message.end());
  return all;
}

Operation posted(int socket, std::size_t batch) {
  const auto write = write_request(region, access_size, abi::vfio_user_flags_no_reply);
  return {.run =
              [socket, batch, chunk = repeat(write, batch),
               last = Exchange(socket, read_request(region, access_size), reply_head + access_size)](
                  std::size_t times) mutable {
                for (std::size_t i = 0; i < times; i += batch)
                  if (!send_all(socket, chunk)) give_up("a posted write");
                last();
              },
          .times = posted_writes};
}

// The same in messages of REGION_WRITE_MULTI that want no reply.
Operation posted_together(int socket, std::size_t batch) {
  constexpr abi::VfioUserWriteEntry entry{.offset = 0, .region = region, .count = access_size};
  const abi::VfioUserWriteMulti head{.count = batch};
  const std::vector entries(batch, entry);
  const auto message = message_of(abi::vfio_user_region_write_multi, bytes_of(head),
                                  std::as_bytes(std::span(entries)), abi::vfio_user_flags_no_reply);
  return {.run =
              [socket, batch, message,
               last = Exchange(socket, read_request(region, access_size), reply_head + access_size)](
                  std::size_t times) mutable {
                for (std::size_t i = 0; i < times; i += batch)
                  if (!send_all(socket, message)) give_up("posted writes");
                last();
              },
          .times = posted_writes};
}

// Nanoseconds of one, as how many there are in a second.
Row rate_row(std::string name, const Samples& samples, const Samples* limit = nullptr) {
  Row row = cost_row(std::move(name), samples, limit);
  row.unit = Unit::per_second;
  row.median = 1e9 / row.median;
  if (row.limit) row.limit = 1e9 / *row.limit;
  return row;
}

// See os::prefer_this_thread().
bool may_be_preferred() {
  bool allowed = false;
  std::thread([&] { allowed = os::prefer_this_thread(); }).join();
  return allowed;
}

void posted_write_rates(const Effort& effort, Report& report, const Placement& placement) {
  World world;
  const auto client = std::make_unique<vfio_user::Client>(world.client(world.add_null("null")));
  const std::size_t size = write_request(region, access_size).size();
  const std::size_t total = posted_writes * size + read_request(region, access_size).size();
  BarePeer bare(bare_sink(total, server_buffer, reply_head + access_size));
  place(world.workers(), placement.far);
  place(bare.thread(), placement.far);
  const Pin pin(placement.near);
  for (const std::size_t batch : {std::size_t{1}, std::size_t{64}}) {
    const std::array operations{posted(bare.socket(), batch), posted(client->channel().socket(), batch)};
    const auto samples = measure(effort, operations);
    report.add(rate_row(fmt::format("bare socket, {} of {} bytes a send", batch, size), samples[0]));
    report.add(rate_row(fmt::format("posted REGION_WRITE, {} a send", batch), samples[1], samples.data()));
  }
  constexpr std::size_t together = 128;
  const std::array multi{posted_together(client->channel().socket(), together)};
  report.add(rate_row(fmt::format("writes in REGION_WRITE_MULTI, {} a message", together),
                      measure(effort, multi)[0]));
}

}  // namespace

void measure_messages(const Effort& effort, Report& report) {
  const Access read{"REGION_READ", read_request(region, access_size), reply_head + access_size};
  const Access write{"REGION_WRITE", write_request(region, access_size), reply_head};
  if (!may_be_preferred())
    report.remark("RLIMIT_NICE allows no step of nice: who answers is the equal of who asks in all rows");
  for (const Placement& placement : placements()) {
    report.section("4 bytes of a null device, there and back, " + placement.name);
    round_trips(effort, report, placement, read);
    round_trips(effort, report, placement, write);
  }
  const Placement widest = widest_placement();
  report.section("4-byte writes without a reply, " + widest.name);
  posted_write_rates(effort, report, widest);
}

}  // namespace umdev::bench
