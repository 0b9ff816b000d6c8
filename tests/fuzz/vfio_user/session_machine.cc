#include "tests/fuzz/vfio_user/session_machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "umdev/os/memfd.h"

namespace umdev::vfio_user {

using test::SentDescriptor;
using test::violated;

SessionMachine::SessionMachine() {
  for (std::size_t i = 0; i < file_count; ++i)
    files_.at(i) =
        os::create_memfd("client", usual_pages.at(i) * iommu::page_size, os::MemfdSize::changeable).value();
  const std::string path = "/proc/self/fd/" + std::to_string(files_[0].get());
  read_only_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  null_device_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

SessionMachine::~SessionMachine() {
  for (Seat& seat : seats_) seat = {};
  if (registration_) registration_.unregister(RemovePolicy::force, [](Result<>) {});
  advance(std::chrono::minutes(1));
}

void SessionMachine::begin() {
  if (device_) return;
  auto registered =
      world_.core->register_emulated_device(std::make_unique<test::BusyDevice>(state_), {.parent = parent_});
  UMDEV_ASSERT(registered, "the device cannot be registered");
  device_ = registered->device;
  registration_ = std::move(registered->registration);
}

void SessionMachine::remove_device() {
  disturb();
  if (registration_) registration_.unregister(RemovePolicy::force, [](Result<>) {});
}

void SessionMachine::disturb() {
  for (Seat& seat : seats_)
    if (seat.client) seat.client->model().disturb_device();
}

// --- Clients.

void SessionMachine::connect(std::size_t index) {
  hang_up(index);
  auto pair = network_.connect();
  Seat& seat = seats_.at(index);
  seat.client = std::make_unique<test::ModelClient>(pair.client);
  const SessionWorld world{.core = world_.core.get(),
                           .executor = loop_.get(),
                           .clock = loop_.get(),
                           .counters = &counters_,
                           .limits = &limits_,
                           .budget = budget_};
  const DeviceAddress address{
      .iommu_group = device_->group()->iommu_group().number(), .name = parent_->name(), .caller = {}};
  seat.connection =
      std::make_shared<Connection>(std::move(pair.server), *loop_, world, address, shared_from_this());
  UMDEV_ASSERT(seat.connection->start(), "the connection cannot be served");
  // What one user did to the device is no concern of the next.
  if (device_->faulted() || !registration_) seat.client->model().disturb_device();
}

void SessionMachine::hang_up(std::size_t index) {
  Seat& seat = seats_.at(index);
  if (!seat.client) return;
  seat.client->hang_up();
  run();
  if (seat.connection) seat.connection->end("the client is replaced");
  seat = {};
}

void SessionMachine::connection_ended(Connection& connection, std::string_view) {
  for (Seat& seat : seats_)
    if (seat.connection.get() == &connection) seat.connection.reset();
}

SessionMachine::Lent SessionMachine::lend(std::size_t which) const {
  if (which < file_count)
    return {.fd = files_.at(which).dup().value(),
            .what = {.kind = SentDescriptor::Kind::memory_file,
                     .file = static_cast<std::uint32_t>(which),
                     .pages = pages_.at(which)}};
  if (which == file_count)
    return {.fd = read_only_.dup().value(),
            .what = {.kind = SentDescriptor::Kind::memory_file, .pages = pages_[0], .writable = false}};
  if (which == file_count + 1)
    return {.fd = null_device_.dup().value(), .what = {.kind = SentDescriptor::Kind::other}};
  return {.fd = event_.dup().value(), .what = {.kind = SentDescriptor::Kind::eventfd}};
}

void SessionMachine::resize(std::size_t file, std::uint64_t pages) {
  for (Seat& seat : seats_)
    if (seat.client && (seat.client->model().waiting() > 0 || seat.client->socket().unread() > 0))
      seat.client->model().forget_file_sizes();
  UMDEV_ASSERT(::ftruncate(files_.at(file).get(), static_cast<off_t>(pages * iommu::page_size)) == 0,
               "a memory file cannot be resized");
  pages_.at(file) = pages;
}

// --- Time.

void SessionMachine::run() {
  constexpr int turns_max = 1'000'000;
  for (int turns = 0;; ++turns) {
    UMDEV_ASSERT(turns < turns_max, "it never comes to rest");
    std::size_t moved = loop_->run_once();
    for (Seat& seat : seats_)
      if (seat.client) moved += seat.client->take();
    if (moved == 0) return;
  }
}

void SessionMachine::advance(Duration by) {
  run();
  world_.host.clock().advance(by);
  // It did not answer in time.
  if (device_ && device_->faulted()) disturb();
  run();
}

// --- The end of an input.

void SessionMachine::settle(Seat& seat) const {
  if (!seat.client || seat.client->is_over() || !seat.connection) return;
  seat.client->settle();
  const auto mappings = seat.client->mapping_count();
  if (mappings && seat.connection->is_open() && *mappings != seat.connection->mappings())
    violated("the session has " + std::to_string(seat.connection->mappings()) + " mappings, not " +
             std::to_string(*mappings));
}

void SessionMachine::finish() {
  state_->slow = false;
  for (int round = 0; round < 4; ++round) {
    for (Seat& seat : seats_)
      if (seat.client) seat.client->socket().room = seat.client->socket().send_at_most = SIZE_MAX;
    state_->answer_all();
    run();
    advance(std::chrono::seconds(15));
  }
  for (Seat& seat : seats_) settle(seat);
  for (std::size_t i = 0; i < client_count; ++i) hang_up(i);
  state_->keeps_pins = false;
  if (device_ && (device_->faulted() || !registration_)) {
    if (registration_) registration_.unregister(RemovePolicy::force, [](Result<>) {});
    device_.reset();
  }
  // Without anybody to serve, time has nothing to end.
  advance(std::chrono::minutes(1));
  for (std::size_t i = 0; i < file_count; ++i)
    if (pages_.at(i) != usual_pages.at(i)) resize(i, usual_pages.at(i));
  check_nothing_left();
  world_.host.log().clear();
  state_->copied.fill(std::byte{0});
}

void SessionMachine::check_nothing_left() const {
  UMDEV_ASSERT(budget_->mappings() == 0 && budget_->bytes() == 0, "a mapping was left behind");
  UMDEV_ASSERT(state_->user == nullptr, "the device is still open");
  UMDEV_ASSERT(state_->waiting.empty() && state_->pins.empty(), "the device still has something");
  UMDEV_ASSERT(state_->copies_under_way == 0, "a copy was never completed");
  UMDEV_ASSERT(const_cast<test::CoreWorld&>(world_).host.clock().pending_timers() == 0,
               "a timer was left behind");
  UMDEV_ASSERT(counters_.sessions_opened.value() >= state_->opened, "more opens than sessions");
}

}  // namespace umdev::vfio_user
