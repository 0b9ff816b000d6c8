// A DMA engine that moves while it is used.
#include "drivers/ioat/migration.h"

#include <gtest/gtest.h>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/mdev_world.h"
#include "tests/support/migration_steps.h"
#include "tests/unit/ioat/rig.h"

namespace umdev::ioat {
namespace {

using enum vfio::MigrationState;
using test::CoreWorld;
using test::error_of;

// Engines of one world, each open, with arcs of the migration that may wait for the engine.
class Engines {
 public:
  struct Engine {
    CoreWorld::Registered registered;
    CoreWorld::Session session;
    vfio::DeviceFile& file() { return *session.device; }
  };

  Engine add(unsigned channels = 1) {
    Engine engine{.registered = {.parent = world.add_parent("engine" + std::to_string(count_++))}};
    auto made = world.core->register_emulated_device(Ioat::create(channels, world.host),
                                                     {.parent = engine.registered.parent});
    engine.registered.device = made->device;
    engine.registered.registration = std::move(made->registration);
    engine.registered.group = engine.registered.device->group()->iommu_group().number();
    engine.session = world.open(engine.registered);
    return engine;
  }
  template <std::unsigned_integral T>
  T get(Engine& engine, std::uint64_t offset) {
    return *load_le<T>(test::read_file(engine.file(), 0, offset, sizeof(T)).value(), 0);
  }
  template <std::unsigned_integral T>
  void set(Engine& engine, std::uint64_t offset, T value) {
    const auto bytes = bytes_of(value);
    EXPECT_TRUE(test::write_file(engine.file(), 0, offset, {bytes.begin(), bytes.end()}));
  }

  CoreWorld world;

 private:
  int count_ = 0;
};

TEST(IoatMigration, registers_errors_and_masks_arrive) {
  Engines engines;
  auto source = engines.add(4);
  engines.set<std::uint8_t>(source, spec::intrctrl, spec::intrctrl_msix_vector_control);
  engines.set<std::uint64_t>(source, Rig::of(0, spec::chainaddr), 0x4000);
  engines.set<std::uint64_t>(source, Rig::of(1, spec::chainaddr), 0x4001);  // not aligned: an error
  engines.set<std::uint64_t>(source, Rig::of(2, spec::chancmp), 0x5678);
  engines.set<std::uint32_t>(source, spec::msix_table + 16 + 12, 1);
  auto target = engines.add(4);
  ASSERT_TRUE(test::load(target.file(), test::save(source.file(), stop)));
  ASSERT_TRUE(test::go(source.file(), running));
  for (std::uint64_t at = 0; at < 0x280; at += 8)
    EXPECT_EQ(engines.get<std::uint64_t>(target, at), engines.get<std::uint64_t>(source, at)) << at;
  EXPECT_EQ(engines.get<std::uint32_t>(target, Rig::of(1, spec::chanerr)), spec::chanerr_chain_addr_value);
  EXPECT_EQ(engines.get<std::uint32_t>(target, spec::msix_table + 16 + 12), 1U);
}

TEST(IoatMigration, an_engine_of_other_channels_is_refused) {
  Engines engines;
  auto source = engines.add(4);
  auto target = engines.add(1);
  EXPECT_EQ(error_of(test::load(target.file(), test::save(source.file()))), EINVAL);
}

TEST(IoatMigration, registers_are_busy_while_it_stands_still_and_reachable_in_the_p2p_state) {
  Engines engines;
  auto engine = engines.add();
  ASSERT_TRUE(test::go(engine.file(), running_p2p));
  EXPECT_EQ(error_of(test::read_file(engine.file(), 0, 0, 4)), 0);
  ASSERT_TRUE(test::go(engine.file(), stop));
  EXPECT_EQ(error_of(test::read_file(engine.file(), 0, 0, 4)), EBUSY);
  ASSERT_TRUE(test::go(engine.file(), running));
  EXPECT_EQ(error_of(test::read_file(engine.file(), 0, 0, 4)), 0);
}

// The driver's own side, where the work of a channel can be watched.

TEST(IoatQuiesce, no_descriptor_is_begun_until_it_runs_again) {
  Rig rig;
  auto& engine = static_cast<Ioat&>(*rig.device);
  rig.put(0, {.size = 8, .source = data, .destination = data + 64, .next = ring});
  rig.arm();
  test::Outcome<> stopped;
  engine.set_running(false, true, stopped.done());
  EXPECT_TRUE(stopped.succeeded());
  rig.queue(3);
  rig.run();
  EXPECT_EQ(rig.state(), spec::State::active) << "it was taken note of";
  EXPECT_EQ(rig.last(), 0U);
  test::Outcome<> resumed;
  engine.set_running(true, true, resumed.done());
  rig.run();
  EXPECT_TRUE(resumed.succeeded());
  EXPECT_EQ(rig.state(), spec::State::done);
}

TEST(IoatQuiesce, stopping_waits_for_the_descriptor_under_way_and_the_rest_moves) {
  Rig rig;
  auto& engine = static_cast<Ioat&>(*rig.device);
  rig.user.use_messages();
  for (std::size_t index = 0; index < 4; ++index)
    rig.put(index, {.size = 64, .source = data, .destination = data + 4096 + 64 * index});
  rig.arm();
  rig.queue(4);
  rig.host.run();
  test::Outcome<> stopped;
  engine.set_running(false, false, stopped.done());
  EXPECT_FALSE(stopped.is_done());
  rig.run();
  EXPECT_TRUE(stopped.succeeded());

  StreamWriter writer("test", 4096);
  engine.save(writer);
  writer.finish();
  Rig other;
  std::ranges::copy(rig.ring_bytes, other.ring_bytes.begin());
  auto reader = StreamReader::open(*writer.bytes(), "test");
  ASSERT_TRUE(reader);
  auto& arrived = static_cast<Ioat&>(*other.device);
  test::Outcome<> there, goes;
  arrived.set_running(false, false, there.done());
  ASSERT_TRUE(arrived.load(*reader));
  arrived.set_running(true, true, goes.done());
  other.run();
  EXPECT_EQ(other.last(), Rig::descriptor(3));
  EXPECT_EQ(other.state(), spec::State::done);
  test::Outcome<> again;
  engine.set_running(true, true, again.done());
  rig.run();
}

TEST(IoatQuiesce, a_reset_while_stopped_does_not_start_it) {
  Rig rig;
  auto& engine = static_cast<Ioat&>(*rig.device);
  test::Outcome<> stopped, resumed;
  engine.set_running(false, true, stopped.done());
  rig.reset();
  rig.config_write<std::uint16_t>(abi::pci_command, abi::pci_command_master);
  rig.put(0, {.size = 1, .control = spec::control_null});
  rig.arm();
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.state(), spec::State::active);
  engine.set_running(true, true, resumed.done());
  rig.run();
  EXPECT_EQ(rig.state(), spec::State::done);
}

}  // namespace
}  // namespace umdev::ioat
