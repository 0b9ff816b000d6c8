// A device that does everything a device may do, at the wish of its client: keeps registers, answers later or
// never, pins and copies the client's memory, raises interrupts, migrates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/host.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/migration.h"

namespace umdev::test {

// What the device does when this structure is written to the start of its doorbell region.
struct Doorbell {
  enum Action : std::uint32_t { pin_to_read, pin_to_write, unpin, copy_in, copy_out, raise, lower, actions };
  std::uint64_t iova;
  std::uint32_t size;  // of the copy or the pin; of an interrupt the index << 16 | vector
  std::uint32_t action;
};
static_assert(sizeof(Doorbell) == 16);

// The regions, by index.
struct BusyRegions {
  static constexpr std::uint32_t registers = 0;  // bytes that are kept; all 0 when opened and after a reset
  static constexpr std::uint32_t doorbell = 1;   // written: Doorbell; reads as zeros
  static constexpr std::uint32_t memory = 2;     // mappable, two pages
  static constexpr std::uint32_t identity = 3;   // reads as 0xa5, cannot be written
  static constexpr std::uint32_t missing = 4;    // of size 0
  static constexpr std::uint32_t broken = 5;     // accesses fail or fall short
  static constexpr std::uint32_t count = 6;
};

// What the test sets and sees. Outlives the device, which the core owns. One thread.
struct BusyDeviceState {
  static constexpr std::size_t registers_size = 256;
  static constexpr std::size_t memory_size = 8192;

  // Behaviour.
  bool slow = false;        // accesses, resets and changes of state wait until they are answered
  bool keeps_pins = false;  // does not let go of memory that is unmapped
  int open_error = 0;

  std::array<std::byte, registers_size> registers{};
  std::array<std::byte, registers_size> copied{};  // what the last copy_in brought
  std::deque<Work> waiting;                        // answers
  std::vector<iommu::DmaPin> pins;
  std::size_t copies_under_way = 0;
  std::uint64_t opened = 0;
  std::uint64_t released = 0;  // times that it was asked to let go
  os::UniqueFd memory;         // of the mappable region
  vfio::User* user = nullptr;

  // Gives the answer that has waited longest; false when none does.
  bool answer_one();
  void answer_all() {
    while (answer_one()) {
    }
  }
};

class BusyDevice final : public vfio::Device, public vfio::Migration {
 public:
  // Creates state->memory when it is not there.
  explicit BusyDevice(std::shared_ptr<BusyDeviceState> state);
  ~BusyDevice() override;

  // ^vfio::Device
  std::string_view name() const override { return "busy"; }
  vfio::DeviceInfo info() const override;
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override;
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override;
  void open_device(vfio::User& user, Done<> done) override;
  void close_device(vfio::User& user, Done<> done) override;
  void read(vfio::ReadRequest request) override;
  void write(vfio::WriteRequest request) override;
  void reset(vfio::User& user, Done<> done) override;
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User& user, const vfio::MmapRequest& request) override;
  void request(unsigned count) override;
  bool pins_memory() const override { return true; }
  void dma_unmap(vfio::User& user, iommu::IovaRange range) override;
  vfio::Migration* migration() override { return this; }

  // ^vfio::Migration
  std::uint64_t flags() const override;
  void arc(vfio::User& user, vfio::MigrationState from, vfio::MigrationState to,
           Done<std::shared_ptr<vfio::MigrationData>> done) override;
  void ended(vfio::User&) override {}
  Result<std::uint64_t> data_size() override { return BusyDeviceState::registers_size; }

 private:
  class Stream;
  struct Copy;

  void serve(vfio::ReadRequest request);
  void serve(vfio::WriteRequest request);
  void ring(vfio::User& user, const Doorbell& doorbell);
  void copy(vfio::User& user, const Doorbell& doorbell);

  const std::shared_ptr<BusyDeviceState> state_;
};

}  // namespace umdev::test
