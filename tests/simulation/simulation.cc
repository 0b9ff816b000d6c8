#include "tests/simulation/simulation.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <vector>

#include "tests/simulation/random_client.h"
#include "tests/simulation/shortage.h"
#include "tests/support/core_world.h"
#include "tests/support/vfio_user/busy_device.h"
#include "umdev/os/worker_pool.h"
#include "umdev/vfio_user/server.h"

namespace umdev::simulation {

namespace {

using test::BusyDeviceState;
using test::Doorbell;
using test::ModelClient;
using test::ModelViolation;
using test::violated;

constexpr std::size_t device_count = 6;
constexpr std::size_t clients_max = 8;

// A device, its socket, and how it is at present.
struct Place {
  std::string name;
  std::shared_ptr<device::Device> parent;
  std::shared_ptr<BusyDeviceState> state;
  std::shared_ptr<vfio::RegisteredDevice> device;
  Registration registration;
  Registration endpoint;
  bool endpoint_ended = true;
  bool device_ended = true;
};

struct Seat {
  std::unique_ptr<ModelClient> client;
  std::size_t place = 0;
  std::uint16_t next_id = 0;
  bool quiet = false;  // its socket does as it should, and nobody was disturbed
};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::ranges::distance(std::filesystem::directory_iterator("/proc/self/fd")));
}

class Simulation {
 public:
  explicit Simulation(const Options& options)
      : options_(options), random_(options.seed), shortage_(options.seed) {
    for (std::size_t i = 0; i < device_count; ++i) {
      places_.at(i).name = "device" + std::to_string(i);
      places_.at(i).parent = world_.add_parent(places_.at(i).name);
      publish(places_.at(i));
    }
  }
  // After a difference there is much left, and nobody looks at it any more.
  ~Simulation() {
    shortage_.set_percent(0);
    for (Seat& seat : seats_) {
      if (seat.client) seat.client->hang_up();
      seat = {};
    }
    for (Place& place : places_) {
      place.state->slow = place.state->keeps_pins = false;
      place.state->answer_all();
      remove(place);
    }
    advance(std::chrono::minutes(2));
    server_.reset();
  }

  Outcome run() {
    try {
      for (; outcome_.step < options_.steps; ++outcome_.step) {
        take_step();
        check();
      }
      finish();
    } catch (const ModelViolation& violation) {
      outcome_.good = false;
      outcome_.what = violation.what();
    }
    return outcome_;
  }

 private:
  // --- The server's side.

  void publish(Place& place) {
    place.state = std::make_shared<BusyDeviceState>();
    auto registered = world_.core->register_emulated_device(std::make_unique<test::BusyDevice>(place.state),
                                                            {.parent = place.parent});
    UMDEV_ASSERT(registered, "a device cannot be registered");
    place.device = registered->device;
    place.registration = std::move(registered->registration);
    place.device_ended = false;
    listen(place);
  }
  void listen(Place& place) {
    auto endpoint = server_->listen({.path = "/sockets/" + place.name,
                                     .device = {.iommu_group = place.device->group()->iommu_group().number(),
                                                .name = place.name,
                                                .caller = {}}});
    UMDEV_ASSERT(endpoint, "a socket cannot be listened at");
    place.endpoint = std::move(*endpoint);
    place.endpoint_ended = false;
  }
  void evict(Place& place) {
    disturb(place);
    if (place.endpoint)
      place.endpoint.unregister(chance(random_, 50) ? RemovePolicy::force : RemovePolicy::wait,
                                [&place](Result<>) { place.endpoint_ended = true; });
  }
  void remove(Place& place) {
    disturb(place);
    if (place.endpoint)
      place.endpoint.unregister(RemovePolicy::force, [&place](Result<>) { place.endpoint_ended = true; });
    if (place.registration)
      place.registration.unregister(RemovePolicy::force, [&place](Result<>) { place.device_ended = true; });
  }
  // What was taken away comes back when its end is over.
  void restore(Place& place) {
    if (!place.endpoint && place.endpoint_ended && !place.device_ended && place.registration) listen(place);
    if (place.registration || !place.device_ended || !place.endpoint_ended) return;
    if (place.state->waiting.empty() && place.state->copies_under_way == 0) publish(place);
  }
  void disturb(const Place& place) {
    for (Seat& seat : seats_)
      if (seat.client && &places_.at(seat.place) == &place) {
        seat.client->model().disturb_device();
        seat.quiet = false;
      }
  }

  // --- Time and turns.

  std::size_t turn() {
    shortage_.arm(true);
    std::size_t moved = workers_->at(0).run_once();
    shortage_.arm(false);
    for (Seat& seat : seats_) moved += take(seat);
    return moved;
  }
  void run_all() {
    constexpr int turns_max = 100'000;
    int turns = 0;
    while (turn() != 0) UMDEV_ASSERT(++turns < turns_max, "it never comes to rest");
  }
  void advance(Duration by) {
    shortage_.arm(true);
    world_.host.clock().advance(by);
    shortage_.arm(false);
    // A device that did not answer in time.
    for (const Place& place : places_)
      if (place.device->faulted()) disturb(place);
    run_all();
  }
  std::size_t take(Seat& seat) {
    if (!seat.client) return 0;
    const std::uint64_t before = seat.client->model().answers();
    const std::size_t messages = seat.client->take();
    outcome_.answers += seat.client->model().answers() - before;
    const auto index = static_cast<std::uint64_t>(&seat - seats_.data());
    outcome_.digest = (outcome_.digest ^ (seat.client->digest() + index)) * 0x100000001b3;
    return messages;
  }

  // --- What clients do.

  void connect(Seat& seat) {
    seat = {};
    seat.place = below(random_, device_count);
    const Place& place = places_.at(seat.place);
    auto socket = network_.connect_to("/sockets/" + place.name);
    if (!socket) return;
    seat.client = std::make_unique<ModelClient>(std::move(socket), options_.defect);
    seat.quiet = true;
    ++outcome_.clients;
    if (place.device->faulted() || place.state->slow || place.state->keeps_pins || !place.registration) {
      seat.client->model().disturb_device();
      seat.quiet = false;
    }
    if (shortage_.percent() != 0) seat.client->model().set_shortage(true);
    Message version = make_version(random_, seat.next_id++);
    seat.client->send(version.bytes, {}, {}, below(random_, 40));
  }
  void send(Seat& seat) {
    const std::size_t piece = chance(random_, 20) ? 1 + below(random_, 50) : 0;
    for (std::uint64_t count = 1 + below(random_, 6); count > 0; --count) {
      Message message = make_command(random_, seat.next_id++, files_, seat.client->model());
      seat.client->send(message.bytes, std::move(message.fds), std::move(message.descriptors), piece);
    }
  }
  // Goes away, mostly in the middle of something.
  void vanish(Seat& seat) {
    if (chance(random_, 70)) {
      const Message message = make_command(random_, seat.next_id++, files_, seat.client->model());
      seat.client->send_raw(ConstBytes(message.bytes).first(below(random_, message.bytes.size())));
      if (chance(random_, 50)) turn();
    }
    seat.client->hang_up();
    seat.client.reset();
  }
  void trouble(Seat& seat) {
    test::FakeSocket& socket = seat.client->socket();
    seat.quiet = false;
    switch (below(random_, 6)) {
      case 0:
        socket.receive_at_most = 1 + below(random_, 100);
        return;
      case 1:
        socket.send_at_most = 1 + below(random_, 100);
        return;
      case 2:
        socket.room = 1 + below(random_, 500);
        return;
      case 3:
        socket.spurious = static_cast<unsigned>(below(random_, 4));
        return;
      case 4:
        socket.lose_descriptors = true;
        seat.client->model().set_shortage(true);
        return;
      default:
        socket.receive_at_most = socket.send_at_most = socket.room = SIZE_MAX;
    }
  }
  void answer_server(Seat& seat) {
    if (seat.client->asked().empty()) return;
    const auto& asked = seat.client->asked().front();
    const auto head = load_struct<abi::VfioUserDmaAccess>(asked.payload).value_or(abi::VfioUserDmaAccess{});
    if (chance(random_, 10)) return seat.client->answer(EFAULT, {});
    const bool is_read = asked.header.command == abi::vfio_user_dma_read;
    std::vector<std::byte> payload(sizeof head + (is_read ? head.count : 0));
    std::ranges::copy(bytes_of(head), payload.begin());
    seat.client->answer(0, payload);
  }

  // A copy between a mapping and the device, looked at byte by byte.
  void check_copy(Seat& seat) {
    Place& place = places_.at(seat.place);
    const auto& mappings = seat.client->model().mappings();
    if (!seat.quiet || place.state->slow || shortage_.percent() != 0 || mappings.empty() ||
        !seat.client->model().is_open())
      return;
    run_all();
    if (!seat.client || seat.client->is_over() || mappings.empty() || place.device->faulted()) return;
    // It takes so many copies and no more; and what waits is in front of this one.
    if (place.state->copies_under_way != 0 || seat.client->model().waiting() != 0) return;
    const auto mapping = mappings[below(random_, mappings.size())];
    if (!mapping.file || mapping.flags != 3 || !files_.is_whole(*mapping.file)) return;
    constexpr std::uint32_t size = 200;
    const bool in = chance(random_, 50);
    place.state->copied.fill(std::byte{0});
    const std::uint64_t at = below(random_, mapping.size - size);
    Message message = make_doorbell(
        seat.next_id++,
        {.iova = mapping.iova + at, .size = size, .action = in ? Doorbell::copy_in : Doorbell::copy_out});
    seat.client->send(message.bytes);
    run_all();
    std::array<std::byte, size> wanted{};
    UMDEV_ASSERT(::pread(files_.fd(*mapping.file), wanted.data(), size,
                         static_cast<off_t>(mapping.offset + at)) == size,
                 "a memory file cannot be read");
    const auto& has = in ? place.state->copied : place.state->registers;
    if (!std::equal(wanted.begin(), wanted.end(), has.begin()))
      violated("a device and its client's memory differ after a copy");
  }

  // --- One step.

  void take_step() {
    Seat& seat = seats_.at(below(random_, seats_.size()));
    if (!seat.client || seat.client->is_over()) return connect(seat);
    Place& place = places_.at(seat.place);
    const std::uint64_t what = below(random_, 100);
    if (what < 45) return send(seat);
    if (what < 60) return void(turn());
    if (what < 66) return run_all();
    if (what < 70) return answer_server(seat);
    if (what < 76) return check_copy(seat);
    if (what < 80) return vanish(seat);
    if (what < 84) return trouble(seat);
    if (what < 89) return void(place.state->answer_one());
    if (what < 92) return advance(std::chrono::milliseconds(1 + below(random_, 600)));
    rare_step(place);
  }
  void rare_step(Place& place) {
    switch (below(random_, 12)) {
      case 0:
        return advance(std::chrono::seconds(1 + below(random_, 20)));
      case 1:
      case 2:
        place.state->slow = !place.state->slow;
        return;
      case 3:
        place.state->keeps_pins = !place.state->keeps_pins;
        return disturb(place);
      case 4:
        return set_shortage(shortage_.percent() == 0 ? 20 : 0);
      case 5:
        return resize();
      case 6:
        network_.failing_accepts = static_cast<unsigned>(below(random_, 3));
        network_.failing_watches = static_cast<unsigned>(below(random_, 2));
        return;
      case 7:
        return evict(place);
      case 8:
        return remove(place);
      case 9:
        if (place.state->user != nullptr)
          place.state->user->irqs().raise(2, static_cast<std::uint32_t>(below(random_, 4)));
        return;
      default:
        for (Place& one : places_) restore(one);
    }
  }
  void resize() {
    const std::size_t file = below(random_, ClientFiles::count);
    for (Seat& seat : seats_)
      if (seat.client) seat.client->model().forget_file_sizes();
    files_.resize(file, chance(random_, 50) ? ClientFiles::pages_usual : below(random_, 16));
  }
  void set_shortage(unsigned percent) {
    shortage_.set_percent(percent);
    if (percent != 0)
      for (Seat& seat : seats_)
        if (seat.client) seat.client->model().set_shortage(true);
  }

  // --- What must be so.

  void check() {
    const vfio_user::ServerStatus status = server_->status();
    const auto& counters = status.counters;
    if (counters.sessions_begun - counters.sessions_ended != status.sessions.size())
      violated("the server counts other sessions than it has");
    if (counters.sessions_opened > counters.sessions_begun) violated("more sessions were opened than begun");
    for (const Place& place : places_) check_place(place, status);
  }
  void check_place(const Place& place, const vfio_user::ServerStatus& status) const {
    std::size_t open = 0;
    std::uint32_t mappings = 0;
    for (const auto& session : status.sessions)
      if (session.device == place.name && session.open) {
        ++open;
        mappings = session.mappings;
      }
    if (open > 1) violated("a device has more than one user");
    if (open == 0 && place.registration && place.state->user == nullptr && !place.state->pins.empty())
      violated("a device that nobody uses has pins");
    for (const Seat& seat : seats_) {
      if (!seat.client || &places_.at(seat.place) != &place || !seat.client->model().is_open()) continue;
      if (seat.client->is_over() || seat.client->model().waiting() != 0 ||
          seat.client->socket().unread() != 0)
        continue;
      check_client(seat, place, open == 1 ? std::optional(mappings) : std::nullopt);
    }
  }
  // A client that waits for nothing.
  static void check_client(const Seat& seat, const Place& place, std::optional<std::uint32_t> mappings) {
    const auto wanted = seat.client->mapping_count();
    if (!seat.quiet || !wanted || !mappings) return;
    if (*wanted != *mappings)
      violated("a session has " + std::to_string(*mappings) + " mappings, not " + std::to_string(*wanted));
    for (const iommu::DmaPin& pin : place.state->pins)
      if (!is_mapped(seat.client->model(), pin.range())) violated("a pin is left where nothing is mapped");
  }
  static bool is_mapped(const test::ClientModel& model, iommu::IovaRange range) {
    for (iommu::Iova at = range.iova;;) {
      const auto found = std::ranges::find_if(model.mappings(), [&](const auto& one) {
        return iommu::IovaRange{one.iova, one.size}.contains({at, 1});
      });
      if (found == model.mappings().end()) return false;
      if (found->iova + (found->size - 1) >= range.last()) return true;
      at = found->iova + found->size;
    }
  }

  void finish() {
    set_shortage(0);
    network_.failing_accepts = network_.failing_watches = 0;
    for (Seat& seat : seats_)
      if (seat.client)
        seat.client->socket().receive_at_most = seat.client->socket().send_at_most =
            seat.client->socket().room = SIZE_MAX;
    for (int round = 0; round < 4; ++round) {
      for (Place& place : places_) {
        place.state->slow = false;
        place.state->answer_all();
      }
      run_all();
      advance(std::chrono::seconds(15));
    }
    for (Seat& seat : seats_) {
      if (seat.client) seat.client->settle();
      if (seat.client) seat.client->hang_up();
    }
    run_all();
    for (Seat& seat : seats_) seat = {};
    for (Place& place : places_) remove(place);
    advance(std::chrono::minutes(2));
    check_nothing_left();
  }
  void check_nothing_left() {
    const vfio_user::ServerStatus status = server_->status();
    if (!status.sessions.empty()) violated("a session is left");
    if (status.file_mappings != 0 || status.mapped_bytes != 0) violated("a mapping is left");
    for (const Place& place : places_) {
      if (place.state->user != nullptr) violated("a device is still open");
      if (!place.state->pins.empty() || place.state->copies_under_way != 0)
        violated("a device still has a pin or a copy");
      if (!place.endpoint_ended || !place.device_ended)
        violated("the end of a socket or a device never came");
    }
    if (world_.host.clock().pending_timers() != 0) violated("a timer is left");
  }

  const Options options_;
  Random random_;
  Outcome outcome_;
  Shortage shortage_;
  test::CoreWorld world_;
  test::FakeNetwork network_{world_.host};
  std::unique_ptr<os::WorkerPool> workers_ = os::WorkerPool::create(1).value();
  std::unique_ptr<vfio_user::Server> server_ = std::make_unique<vfio_user::Server>(vfio_user::Server::Config{
      .core = world_.core.get(), .workers = workers_.get(), .log = &world_.host.log(), .limits = {}});
  ClientFiles files_;
  std::array<Place, device_count> places_;
  std::array<Seat, clients_max> seats_;
};

}  // namespace

Outcome simulate(const Options& options) {
  const std::size_t before = open_descriptors();
  Outcome outcome = Simulation(options).run();
  if (outcome.good && open_descriptors() != before) {
    outcome.good = false;
    outcome.what = "a descriptor is left";
  }
  return outcome;
}

}  // namespace umdev::simulation
