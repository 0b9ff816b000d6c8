// The serial card's move to another place: what its stream holds.
#pragma once

#include <cstdint>

#include "umdev/vfio/migration_helper.h"

namespace umdev::mtty {

class Mtty;

// The stream's identity is the card with its number of ports. Its sections, all of version 1: "card" (u8
// for each port: was its interrupt told?), and "uart" for each port (Uart::save). Configuration space and the
// interrupts' set-up are not in it: whoever moves the card carries those, as for every PCI function.
class Migration final : public vfio::MigrationHelper {
 public:
  // `card` owns this.
  Migration(Mtty& card, unsigned ports);

  // ^vfio::Migration
  // The card has no DMA, so that there is nothing to log; the log is there, and empty.
  bool logs_dma() const override { return true; }

 protected:
  // ^vfio::MigrationHelper
  void on_arc(vfio::User& user, vfio::MigrationState from, vfio::MigrationState to, Done<> done) override;
  Result<> save_final(StreamWriter& stream) override;
  Result<> load(vfio::User& user, StreamReader& stream) override;
  std::uint64_t estimate() const override;
  void on_ended(vfio::User& user) override;

 private:
  Mtty& card_;
};

}  // namespace umdev::mtty
