#include "drivers/mtty/migration.h"

#include <string>

#include "drivers/mtty/mtty.h"

namespace umdev::mtty {
namespace {

constexpr std::size_t stream_max = 4096;

std::string identity(unsigned ports) {
  return "mtty, ports: " + std::to_string(ports);
}

// In these the card stands still: nobody touches it, and it says nothing.
bool stands_still(vfio::MigrationState state) {
  using enum vfio::MigrationState;
  return state == stop || state == stop_copy || state == resuming;
}

}  // namespace

Migration::Migration(Mtty& card, unsigned ports)
    : MigrationHelper(
          {.flags = abi::vfio_migration_stop_copy | abi::vfio_migration_p2p | abi::vfio_migration_pre_copy,
           .identity = identity(ports),
           .stream_max = stream_max}),
      card_(card) {}

void Migration::on_arc(vfio::User&, vfio::MigrationState, vfio::MigrationState to, Done<> done) {
  card_.stand_still(stands_still(to));
  done();
}

Result<> Migration::save_final(StreamWriter& stream) {
  card_.save(stream);
  return {};
}

Result<> Migration::load(vfio::User&, StreamReader& stream) {
  return card_.load(stream);
}

std::uint64_t Migration::estimate() const {
  StreamWriter stream(identity(card_.port_count()), stream_max);
  card_.save(stream);
  stream.finish();
  const auto bytes = stream.bytes();
  return bytes ? bytes->size() : 0;
}

void Migration::on_ended(vfio::User&) {
  card_.stand_still(false);
}

}  // namespace umdev::mtty
