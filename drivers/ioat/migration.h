// The DMA engine's move to another place: what its stream holds.
#pragma once

#include <cstdint>

#include "umdev/vfio/migration_helper.h"

namespace umdev::ioat {

class Ioat;

// The stream's identity is the engine with its number of channels. Its sections, all of version 1: "ioat"
// (the registers of the engine), "chan" for each channel, "errs" (the errors that configuration space shows),
// "msix" (what the user has written into the table, and what is pending). The rest of configuration space and
// the interrupts' set-up are carried by whoever moves the function, as for every PCI function.
//
// The engine moves between two descriptors: in the states in which it must not reach memory, none is under
// way.
class Migration final : public vfio::MigrationHelper {
 public:
  // `engine` owns this.
  Migration(Ioat& engine, unsigned channels);

 protected:
  // ^vfio::MigrationHelper
  void on_arc(vfio::User& user, vfio::MigrationState from, vfio::MigrationState to, Done<> done) override;
  Result<> save_final(StreamWriter& stream) override;
  Result<> load(vfio::User& user, StreamReader& stream) override;
  std::uint64_t estimate() const override;
  void on_ended(vfio::User& user) override;

 private:
  Ioat& engine_;
};

}  // namespace umdev::ioat
