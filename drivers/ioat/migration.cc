#include "drivers/ioat/migration.h"

#include <string>

#include "drivers/ioat/ioat.h"

namespace umdev::ioat {
namespace {

using enum vfio::MigrationState;

constexpr std::size_t stream_max = 4096;
// A stream of four channels is about 700 bytes, and always as long.
constexpr std::uint64_t stream_about = 768;

std::string identity(unsigned channels) {
  return "ioat, channels: " + std::to_string(channels);
}

}  // namespace

Migration::Migration(Ioat& engine, unsigned channels)
    : MigrationHelper(
          {.flags = abi::vfio_migration_stop_copy | abi::vfio_migration_p2p | abi::vfio_migration_pre_copy,
           .identity = identity(channels),
           .stream_max = stream_max}),
      engine_(engine) {}

// In the P2P states the engine begins no access of its own, but others may reach its registers.
void Migration::on_arc(vfio::User&, vfio::MigrationState, vfio::MigrationState to, Done<> done) {
  const bool running = to == vfio::MigrationState::running || to == pre_copy;
  const bool reachable = running || to == running_p2p || to == pre_copy_p2p;
  engine_.set_running(running, reachable, std::move(done));
}

Result<> Migration::save_final(StreamWriter& stream) {
  engine_.save(stream);
  return {};
}

Result<> Migration::load(vfio::User&, StreamReader& stream) {
  return engine_.load(stream);
}

std::uint64_t Migration::estimate() const {
  return stream_about;
}

void Migration::on_ended(vfio::User&) {
  engine_.set_running(true, true, [](Result<>) {});
}

}  // namespace umdev::ioat
