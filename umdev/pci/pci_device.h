// A PCI function as a VFIO device: regions and interrupts out of its layout, configuration space, reset. What
// is left to a driver is what stands behind the BARs.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/pci/config_space.h"
#include "umdev/pci/msix.h"
#include "umdev/pci/vf_token.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"
#include "umdev/support/state_stream.h"
#include "umdev/vfio/device.h"

namespace umdev::pci {

// What all instances of one model share; never changes.
struct Model {
  // Counts the interrupts that the layout shows: INTx with a pin, MSI and MSI-X with their capabilities, one
  // REQ (the user is asked to let go of the device), and with PCI Express one ERR (the device is faulted).
  explicit Model(ConfigLayout layout);

  ConfigLayout config;
  // By VFIO index. A driver may change what the constructor counted.
  std::array<std::uint32_t, abi::vfio_pci_num_irqs> irq_counts{};
};

// Shared by the instances of a model and whoever creates more of them.
using ModelRef = std::shared_ptr<const Model>;
ModelRef share(Model model);

// Regions lie at index << 40, config space has 256 or 4096 bytes, interrupts are those of vfio-pci. With an
// MSI-X capability, the table and the pending bits are kept here (MsixTable): the driver never sees accesses
// to them, and raises vectors with no thought of masks. The enable bits of MSI and MSI-X follow SET_IRQS. A
// write of devctl's function level reset bit is a reset(); what it resets is the same. As with vfio-pci, a
// reset leaves alone what a user has set up in the standard registers of configuration space
// (ConfigLayout::keep): a driver in a program may make the function bus master, and then reset it.
//
// The device is at power-on whenever it has no user, so nothing of one user is seen by the next.
//
// Threads: as vfio::Device. Configuration space is guarded here; what a driver keeps of its own, it guards
// itself. None of the functions that a driver implements is called with a lock held.
class PciDevice : public vfio::Device {
 public:
  // ^vfio::Device
  vfio::DeviceInfo info() const override;
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override;
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override;
  void open_device(vfio::User& user, Done<> done) override;
  void close_device(vfio::User& user, Done<> done) override;
  void read(vfio::ReadRequest request) override;
  void write(vfio::WriteRequest request) override;
  void reset(vfio::User& user, Done<> done) override;
  Result<> set_irqs(vfio::User& user, vfio::IrqRequest& request) override;
  // Of a BAR that can be mapped: registers, unless a driver that has memory there overrides it. EINVAL: of
  // another.
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User& user, const vfio::MmapRequest& request) override;
  // Raises the REQ interrupt of every user that has set it up.
  void request(unsigned count) override;

  // The VF token decides who may open a physical function and its virtual functions; another takes none.
  Result<> match_token(const std::optional<Uuid>& token) const override;
  // PCI_VF_TOKEN of a physical function. Whoever overrides it hands on what it does not know.
  Result<std::vector<std::byte>> device_feature(vfio::User& user,
                                                const vfio::FeatureRequest& request) override;

  // --- Single Root I/O Virtualization: of a function whose layout has an SriovCapability.
  // A new virtual function of this one, to be registered under an address of its own; it has nothing to do
  // with this object any more but for the token. EOPNOTSUPP: there are none.
  Result<std::unique_ptr<PciDevice>> create_virtual_function(DeviceHost& host);
  // What configuration space says of how many there are, through resets and users.
  void show_virtual_functions(std::uint16_t count) UMDEV_EXCLUDES(mutex_);
  // Was it made by create_virtual_function()?
  bool is_virtual() const { return physical_token_ != nullptr; }

  // What the function looks like at power-on; never changes.
  const ConfigLayout& layout() const { return model_->config; }

 protected:
  explicit PciDevice(ModelRef model);

  // An access to a BAR, or to the ROM (index 6, reads only), that lies wholly inside it. A read fills all of
  // `into`. Both are answered at once; a driver that answers later overrides read() and write() for these
  // regions and hands the rest to this class. The defaults answer EINVAL.
  virtual Result<> bar_read(vfio::User& user, std::uint32_t bar, std::uint64_t offset, Bytes into);
  virtual Result<> bar_write(vfio::User& user, std::uint32_t bar, std::uint64_t offset, ConstBytes from);

  // The device of a virtual function, by its physical function, if that has any.
  virtual std::unique_ptr<PciDevice> make_virtual_function(DeviceHost& /*host*/) { return nullptr; }

  // Back to power-on: the user's reset, and the end of the last user. Configuration space has been reset,
  // and interrupts are set up as before but low. Lower your lines and forget everything.
  virtual void function_reset() {}

  // A write changed a watched register. With writes running in parallel, config() may be further on already.
  virtual void config_changed(vfio::User& /*user*/, const ConfigChange& /*change*/) {}

  // What a move of the device must carry of MSI-X: put into a section of its own; taken from it, EINVAL when
  // it is not the state of this function; made the function's own. Nothing to do without MSI-X.
  void save_msix(StreamWriter& stream) const UMDEV_EXCLUDES(mutex_);
  Result<MsixTable> load_msix(StreamReader& stream) const;
  void set_msix(MsixTable table) UMDEV_EXCLUDES(mutex_);

  // The interrupts of whoever uses the device; nobody, nothing happens. Never block.
  void raise_irq(std::uint32_t index, std::uint32_t vector = 0) UMDEV_EXCLUDES(mutex_);
  void lower_irq(std::uint32_t index, std::uint32_t vector = 0) UMDEV_EXCLUDES(mutex_);

  // A copy of the register (its value at this moment), and setting it whatever a user might do to it.
  template <std::unsigned_integral T>
  T config_value(std::uint16_t offset) const UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return config_.value<T>(offset);
  }
  template <std::unsigned_integral T>
  void set_config_value(std::uint16_t offset, T value) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    config_.set_value<T>(offset, value);
  }

  const Model& model() const { return *model_; }

 private:
  Result<> read_region(vfio::ReadRequest& request);
  Result<> write_region(vfio::WriteRequest& request);
  Result<> read_bar(vfio::ReadRequest& request) UMDEV_EXCLUDES(mutex_);
  Result<> write_bar(vfio::WriteRequest& request) UMDEV_EXCLUDES(mutex_);
  bool resets_function(const vfio::WriteRequest& request) const;
  void follow_function_mask() UMDEV_REQUIRES(mutex_);
  void send_what_may() UMDEV_REQUIRES(mutex_);
  Result<> write_config(vfio::WriteRequest& request) UMDEV_EXCLUDES(mutex_);
  std::uint64_t region_size(std::uint32_t index) const;
  enum class Config : std::uint8_t { power_on, reset };
  void return_to(Config config) UMDEV_EXCLUDES(mutex_);
  void put_virtual_functions() UMDEV_REQUIRES(mutex_);

  const ModelRef model_;
  const std::shared_ptr<VfToken> token_;     // of a physical function
  std::shared_ptr<VfToken> physical_token_;  // of a virtual function: written before it is registered
  mutable Mutex mutex_;                      // a leaf: no function of the driver is called inside it
  ConfigSpace config_ UMDEV_GUARDED_BY(mutex_);
  MsixTable msix_ UMDEV_GUARDED_BY(mutex_);
  std::vector<vfio::User*> users_ UMDEV_GUARDED_BY(mutex_);
  std::uint16_t virtual_functions_ UMDEV_GUARDED_BY(mutex_) = 0;
};

}  // namespace umdev::pci
