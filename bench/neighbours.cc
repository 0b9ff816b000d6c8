// A well-behaved session, alone on its worker and beside sessions that are not.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <thread>

#include "bench/conversation.h"
#include "bench/devices.h"
#include "bench/sections.h"
#include "bench/world.h"
#include "umdev/os/unix_socket.h"

namespace umdev::bench {
namespace {

constexpr std::uint32_t region = abi::vfio_pci_bar0_region_index;
constexpr std::uint32_t access_size = 4;

// While it lives it does harm.
class Neighbour {
 public:
  virtual ~Neighbour() = default;
};

// Does whatever it does once, and then nothing.
class StillNeighbour final : public Neighbour {
 public:
  explicit StillNeighbour(vfio_user::Client client) : client_(std::move(client)) {}

 private:
  vfio_user::Client client_;
};

std::unique_ptr<Neighbour> half_a_message(World& world, std::size_t device) {
  auto client = world.client(device);
  const auto message = write_request(region, access_size);
  if (!send_all(client.channel().socket(), ConstBytes(message).first(message.size() / 2)))
    give_up("half a message");
  return std::make_unique<StillNeighbour>(std::move(client));
}

std::unique_ptr<Neighbour> silence(World& world, std::size_t device) {
  return std::make_unique<StillNeighbour>(world.silent_client(device));
}

// Sends until nothing has fitted for a while.
std::unique_ptr<Neighbour> unread_replies(World& world, std::size_t device) {
  auto client = world.client(device);
  const int socket = client.channel().socket();
  const auto request = read_request(region, device_page);
  ConstBytes rest = request;
  for (;;) {
    const auto sent = os::send(socket, rest);
    if (sent) {
      rest = rest.subspan(*sent);
      if (rest.empty()) rest = request;
      continue;
    }
    pollfd writable{.fd = socket, .events = POLLOUT, .revents = 0};
    if (sent.error().code != EAGAIN || ::poll(&writable, 1, 20) < 0) give_up("a client that never reads");
    if (writable.revents == 0) return std::make_unique<StillNeighbour>(std::move(client));
  }
}

// Requests as fast as they are taken, whatever the replies are.
class Blaster final : public Neighbour {
 public:
  explicit Blaster(vfio_user::Client client)
      : client_(std::move(client)), thread_([this] { blast(client_.channel().socket()); }) {}
  ~Blaster() override {
    stops_ = true;
    (void)::shutdown(client_.channel().socket(), SHUT_RDWR);
    thread_.join();
  }

 private:
  static constexpr std::size_t requests_at_once = 512;

  void blast(int socket) {
    const auto request = read_request(region, access_size);
    std::vector<std::byte> requests;
    for (std::size_t i = 0; i < requests_at_once; ++i)
      requests.insert(requests.end(), request.begin(), request.end());
    std::vector<std::byte> replies(1U << 16);
    ConstBytes rest = requests;
    while (!stops_) {
      pollfd both{.fd = socket, .events = POLLIN | POLLOUT, .revents = 0};
      if (::poll(&both, 1, 1000) < 0) return;
      if ((both.revents & POLLIN) != 0 && ::recv(socket, replies.data(), replies.size(), MSG_DONTWAIT) == 0)
        return;
      if ((both.revents & POLLOUT) == 0) continue;
      const auto sent = os::send(socket, rest);
      if (sent) rest = rest.subspan(*sent);
      if (rest.empty()) rest = requests;
    }
  }

  vfio_user::Client client_;
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

// Always has a read under way that takes seconds.
class SlowReader final : public Neighbour {
 public:
  SlowReader(vfio_user::Client client, std::shared_ptr<SlowDevice::State> state)
      : client_(std::move(client)), state_(std::move(state)), thread_([this] {
          while (!stops_ && client_.read<std::uint32_t>(0, 0)) {
          }
        }) {}
  ~SlowReader() override {
    stops_ = true;
    state_->hurry();
    thread_.join();
  }

 private:
  vfio_user::Client client_;
  const std::shared_ptr<SlowDevice::State> state_;
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

// One kind of neighbour, and how many of them there are.
struct Kind {
  std::string name;
  std::size_t count = 1;
  bool works = true;  // and so takes processor time from everybody, not only on its worker
  std::function<std::unique_ptr<Neighbour>(World& world, const std::string& name)> move_in;
};

Kind still(const char* name, std::unique_ptr<Neighbour> (*make)(World&, std::size_t)) {
  return {
      .name = name, .count = 8, .works = false, .move_in = [make](World& world, const std::string& device) {
        return make(world, world.add_null(device));
      }};
}

std::vector<Kind> all_kinds(const Effort& effort) {
  const auto delay = std::chrono::milliseconds(effort.quick ? 200 : 2000);
  std::vector<Kind> kinds{still("8 clients that have sent half a message", half_a_message),
                          still("8 clients that have not said a word", silence),
                          still("8 clients that never read their replies", unread_replies)};
  kinds.push_back({.name = "8 devices whose reads take " + fmt::format("{} ms", delay.count()),
                   .count = 8,
                   .works = true,
                   .move_in = [delay](World& world, const std::string& name) -> std::unique_ptr<Neighbour> {
                     auto state = std::make_shared<SlowDevice::State>(delay);
                     const auto device = world.add(name, std::make_unique<SlowDevice>(state, world.clock()));
                     return std::make_unique<SlowReader>(world.client(device), std::move(state));
                   }});
  kinds.push_back({.name = "1 client that sends requests without a pause",
                   .count = 1,
                   .works = true,
                   .move_in = [](World& world, const std::string& name) -> std::unique_ptr<Neighbour> {
                     return std::make_unique<Blaster>(world.client(world.add_null(name)));
                   }});
  return kinds;
}

// Who behaves, with a worker of its own.
struct Resident {
  World world;
  vfio_user::Client client = world.client(world.add_null("good"));
  Exchange exchange{client.channel().socket(), read_request(region, access_size), reply_head + access_size};
  Operation operation{.run = [this](std::size_t) { exchange(); }, .times = 1};
};

// Beside neighbours that do nothing: in turns with one who is alone. Beside those that work, who would
// disturb that one too: alone first, then with everybody moved in.
void beside(const Effort& effort, Report& report, const std::string& name, std::span<const Kind> kinds) {
  Resident resident;
  std::vector<Samples> alone;
  const bool in_turns = std::ranges::none_of(kinds, &Kind::works);
  if (!in_turns) alone = measure(effort, std::span(&resident.operation, 1));
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  for (const Kind& kind : kinds)
    for (std::size_t i = 0; i < kind.count; ++i)
      neighbours.push_back(kind.move_in(resident.world, "bad" + std::to_string(neighbours.size())));
  if (in_turns) {
    Resident other;
    const std::array operations{resident.operation, other.operation};
    const auto both = measure(effort, operations);
    return report.add(row_of(name, both[0], &both[1]));
  }
  const auto among = measure(effort, std::span(&resident.operation, 1));
  report.add(row_of(name, among[0], alone.data()));
}

}  // namespace

void measure_neighbours(const Effort& effort, Report& report) {
  report.section("REGION_READ of a client that behaves, limit: alone; on its worker:");
  const std::vector<Kind> kinds = all_kinds(effort);
  beside(effort, report, "nobody else (how far two measurements differ)", {});
  for (const Kind& kind : kinds) beside(effort, report, kind.name, std::span(&kind, 1));
  beside(effort, report, "all of these at once", kinds);
}

}  // namespace umdev::bench
