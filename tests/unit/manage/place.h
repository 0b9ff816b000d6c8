// Two daemons' worth of instances that move, in one process: what the tests of the mover share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/mtty/parent.h"
#include "drivers/mtty/spec.h"
#include "drivers/null/parent.h"
#include "tests/support/fake_watcher.h"
#include "tests/support/mdev_world.h"
#include "umdev/manage/mover.h"
#include "umdev/os/memfd.h"

namespace umdev::manage::test {

namespace spec = mtty::spec;
using umdev::test::error_of;
using umdev::test::MdevWorld;
using umdev::test::Outcome;
using Stream = std::vector<std::byte>;

inline const mdev::Owner owner{.uid = 1000, .pid = 1, .door = "control"};

// A door whose sessions stand as soon as they are told to, and of which one has the device where a test says
// so: one is nothing but a stream of three bytes and one descriptor.
struct FakeDoor final : vfio::SessionDoor, vfio::DeviceSessions, std::enable_shared_from_this<FakeDoor> {
  explicit FakeDoor(MdevWorld& its_world) : world(its_world) {}

  std::shared_ptr<vfio::DeviceSessions> sessions_of(std::string_view) override { return shared_from_this(); }
  void pause(Done<> done) override {
    happened += "pause ";
    done();
  }
  void resume() override { happened += "resume "; }
  void take(Done<std::optional<vfio::MovedSession>> done) override {
    if (take_error) return done(std::unexpected(*take_error));
    if (!has_client) return done(std::nullopt);
    vfio::MovedSession session{
        .stream = Stream(3, std::byte{7}), .descriptors = {}, .shares_device = shares_device};
    for (std::size_t i = 0; i < descriptors; ++i)
      session.descriptors.push_back(os::create_memfd("descriptor", 1).value());
    done(std::move(session));
  }
  void adopt(vfio::MovedSession session, Done<> done) override {
    if (adopt_error) return done(std::unexpected(*adopt_error));
    adopted = std::move(session);
    client = world.open_instance(MdevWorld::uuid(1));
    done();
  }

  MdevWorld& world;
  std::string happened;
  bool has_client = false;
  bool shares_device = false;
  std::size_t descriptors = 1;
  std::optional<Error> take_error;
  std::optional<Error> adopt_error;
  std::optional<vfio::MovedSession> adopted;
  MdevWorld::Session client;  // that was adopted
};

// A daemon with that door: one serial card parent, one null parent.
struct Place {
  MdevWorld world;
  Registration serial;
  Registration null;
  std::shared_ptr<FakeDoor> door = std::make_shared<FakeDoor>(world);
  umdev::test::FakeWatcher watcher;
  std::unique_ptr<Mover> mover;

  explicit Place(std::uint32_t ports = 4)
      : serial(world.register_parent("mtty", mtty::MttyParent::spec(ports),
                                     std::make_unique<mtty::MttyParent>())),
        null(world.register_parent("null", null::NullParent::spec(), std::make_unique<null::NullParent>())),
        mover(std::make_unique<Mover>(*world.bus, *world.core, world.host,
                                      Mover::Doors{.sessions = door.get(), .watcher = &watcher})) {}
  ~Place() {
    door->client = {};
    mover.reset();
  }

  Result<Stream> save(const Uuid& uuid) { return std::move(UMDEV_TRY(depart(uuid, Clients::leave)).stream); }
  Result<Departure> depart(const Uuid& uuid, Clients clients) {
    Result<Departure> departure = fail(EINPROGRESS, "save did not complete");
    mover->save(uuid, clients, [&](Result<Departure> saved) { departure = std::move(saved); });
    world.host.run();
    return departure;
  }
  int end(const Uuid& uuid, bool moved) {
    Outcome<> outcome;
    mover->end(uuid, moved, outcome.done());
    world.host.run();
    return outcome.error();
  }
  int load(const Stream& stream, const std::string& parent = "") {
    return arrive({.stream = stream}, parent);
  }
  int arrive(Departure departure, const std::string& parent = "") {
    Outcome<Uuid> outcome;
    mover->load(departure.stream, std::move(departure.descriptors), parent, owner, outcome.done());
    world.host.run();
    return outcome.error();
  }
  // What waits for the other place's word hears it.
  void listen() {
    watcher.deliver();
    world.host.run();
  }
  bool has(const Uuid& uuid) { return world.bus->find(uuid).has_value(); }
};

inline const Uuid uuid = MdevWorld::uuid(1);

inline void out(MdevWorld::Session& session, unsigned port, std::uint8_t offset, unsigned value) {
  EXPECT_TRUE(umdev::test::write_file(*session.device, port, offset, Stream(1, std::byte(value))));
}
inline unsigned in(MdevWorld::Session& session, unsigned port, std::uint8_t offset) {
  return std::to_integer<unsigned>(umdev::test::read_file(*session.device, port, offset, 1).value()[0]);
}

}  // namespace umdev::manage::test
