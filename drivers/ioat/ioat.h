// The DMA engine: a PCI Express function that copies and fills its user's memory.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "drivers/ioat/engine.h"
#include "drivers/ioat/migration.h"
#include "drivers/ioat/worker.h"
#include "umdev/pci/pci_device.h"
#include "umdev/support/gate.h"
#include "umdev/support/mutex.h"

namespace umdev::ioat {

class Ioat final : public pci::PciDevice, private WorkSource {
 public:
  // A physical function makes virtual ones, of one channel each; these have no interrupt line and no MSI.
  enum class Kind : std::uint8_t { plain, physical, virtual_function };
  // `channels` is 1 to spec::channels_max. `host` outlives the device.
  static std::unique_ptr<Ioat> create(unsigned channels, DeviceHost& host, Kind kind = Kind::plain);

  // ^vfio::Device
  std::string_view name() const override { return "ioat"; }
  void open_device(vfio::User& user, Done<> done) override;
  void close_device(vfio::User& user, Done<> done) override;
  // Completes when the last access to memory that was under way has ended.
  void reset(vfio::User& user, Done<> done) override;
  // Pins are held for the length of one copy, so there is none to drop.
  bool pins_memory() const override { return true; }
  // A physical function stays: its virtual ones would not move with it.
  vfio::Migration* migration() override { return kind_ == Kind::physical ? nullptr : &migration_; }

  // Its migration's side. `running`: descriptors are worked on; completes when none is under way that may not
  // be. While registers are not `reachable`, they are EBUSY to the user.
  void set_running(bool running, bool reachable, Done<> done) UMDEV_EXCLUDES(mutex_);
  void save(StreamWriter& stream) UMDEV_EXCLUDES(mutex_);
  // EINVAL, and nothing has changed, when it is not the state of such an engine.
  Result<> load(StreamReader& stream) UMDEV_EXCLUDES(mutex_);
  unsigned channel_count() const { return channel_count_; }

 private:
  Ioat(unsigned channels, DeviceHost& host, Kind kind);

  // ^pci::PciDevice
  Result<> bar_read(vfio::User& user, std::uint32_t bar, std::uint64_t offset, Bytes into) override;
  Result<> bar_write(vfio::User& user, std::uint32_t bar, std::uint64_t offset, ConstBytes from) override;
  void function_reset() override;
  std::unique_ptr<pci::PciDevice> make_virtual_function(DeviceHost& host) override;

  // ^WorkSource
  vfio::User& user() override UMDEV_EXCLUDES(mutex_);
  bool is_bus_master() override;
  bool begin(unsigned channel, std::uint64_t& address) override UMDEV_EXCLUDES(mutex_);
  std::optional<Channel::Completion> completion(unsigned channel, const Descriptor& descriptor,
                                                std::uint32_t error) override UMDEV_EXCLUDES(mutex_);
  void finish(unsigned channel, const Descriptor& descriptor, std::uint32_t error) override
      UMDEV_EXCLUDES(mutex_);

  // Runs `step` while no descriptor is under way, one such operation at a time.
  using Step = InlineFunction<void(Done<>), 32>;
  struct Operation {
    Step step;
    Done<> done;
  };
  void while_quiet(Step step, Done<> done) UMDEV_EXCLUDES(mutex_);
  void quiesce() UMDEV_EXCLUDES(mutex_);
  void end_operation(Result<> result) UMDEV_EXCLUDES(mutex_);
  void tell() UMDEV_REQUIRES(mutex_);
  void start_workers() UMDEV_EXCLUDES(mutex_);

  const Kind kind_;
  const unsigned channel_count_;
  Migration migration_;
  Gate gate_;  // a worker is inside while it does not rest
  std::vector<std::unique_ptr<Worker>> workers_;

  Mutex mutex_;
  Engine engine_ UMDEV_GUARDED_BY(mutex_);
  std::array<bool, spec::channels_max> at_work_ UMDEV_GUARDED_BY(mutex_){};
  vfio::User* user_ UMDEV_GUARDED_BY(mutex_) = nullptr;
  bool running_ UMDEV_GUARDED_BY(mutex_) = true;
  bool reachable_ UMDEV_GUARDED_BY(mutex_) = true;
  // Resets, the end of a user, the arcs of a migration: the first one is under way.
  std::deque<Operation> operations_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::ioat
