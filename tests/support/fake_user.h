// Whoever uses a device, for the unit test of that device: plain memory, and interrupts with real eventfds.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "tests/support/fake_watcher.h"
#include "tests/support/irq_client.h"
#include "umdev/abi/vfio.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/user.h"

namespace umdev::test {

// Made from the device under test, whose interrupts it takes:
//
//   FakeUser user(device);
//   Bytes memory = user.map(0x10000, 4096);             // what the device reaches as IOVA 0x10000
//   ASSERT_TRUE(user.irq().listen(0));                   // an eventfd for INTx
//   ... write_register(device, user, ...) ...
//   EXPECT_EQ(user.irq().take(0), 1U);                   // how often it was signalled
//   EXPECT_EQ(user.pin_count(), 0U);
//
// irq() is the client's side (SET_IRQS), irqs() the device's; watcher() delivers unmask eventfds. Memory may
// be used from any thread, mapped and unmapped by the test's.
class FakeUser final : public vfio::User {
 public:
  explicit FakeUser(const vfio::Device& device) : FakeUser(infos_of(device), layout_of(device)) {}
  explicit FakeUser(const std::vector<vfio::IrqInfo>& infos = {},
                    vfio::IrqLayout layout = vfio::IrqLayout::pci)
      : irqs_(infos, &watcher_, layout) {}
  ~FakeUser() override { UMDEV_ASSERT(pin_count() == 0, "the device did not drop its pins"); }

  // Makes memory that the device reaches at `iova`; zero at first. Ranges may not overlap.
  Bytes map(iommu::Iova iova, std::size_t size, iommu::Access access = iommu::Access::read_write) {
    Lock lock(memory_->mutex);
    auto& mapping = memory_->mappings[iova];
    mapping.access = access;
    mapping.bytes.resize(size);
    return mapping.bytes;
  }
  // Takes it away, as after an unmap: no pin may be left on it.
  void unmap(iommu::Iova iova) {
    Lock lock(memory_->mutex);
    UMDEV_ASSERT(memory_->pins == 0, "memory is unmapped while it is pinned");
    memory_->mappings.erase(iova);
  }
  std::size_t pin_count() const {
    Lock lock(memory_->mutex);
    return memory_->pins;
  }

  // From now on pins are EOPNOTSUPP, and dma_read and dma_write complete in run_dma(): memory that is reached
  // by messages.
  void use_messages() {
    Lock lock(memory_->mutex);
    by_message_ = true;
  }
  // From now on pins of what was mapped at `iova` are EOPNOTSUPP: private memory of a program.
  void use_copies(iommu::Iova iova) {
    Lock lock(memory_->mutex);
    memory_->mappings.at(iova).copied = true;
  }
  // Where the device's bytes were at the last dma_read or dma_write that succeeded.
  const std::byte* last_buffer() const {
    Lock lock(memory_->mutex);
    return last_buffer_;
  }
  // Completes the accesses that wait, and those that they make; how many.
  std::size_t run_dma() {
    for (std::size_t ran = 0;; ++ran) {
      Transfer transfer;
      {
        Lock lock(memory_->mutex);
        if (waiting_.empty()) return ran;
        transfer = std::move(waiting_.front());
        waiting_.pop_front();
      }
      carry_out(std::move(transfer));
    }
  }

  IrqClient& irq() { return client_; }
  FakeWatcher& watcher() { return watcher_; }

  // ^User
  Result<iommu::DmaPin> pin(iommu::IovaRange range, iommu::Access access) override {
    constexpr std::uint64_t pages_max = 512;
    if (range.size > pages_max * iommu::page_size) return fail(E2BIG, "more than 512 pages in one pin");
    Lock lock(memory_->mutex);
    if (by_message_) return fail(EOPNOTSUPP, "this memory is reached by messages");
    const Bytes bytes = UMDEV_TRY(memory_->find(range, access));
    if (memory_->is_copied(range.iova)) return fail(EOPNOTSUPP, "this memory is copied");
    ++memory_->pins;
    return iommu::DmaPin(std::make_unique<Pinned>(memory_), range, access,
                         {.data = bytes.data(), .length = bytes.size()}, 0);
  }
  void dma_read(iommu::Iova iova, Bytes into, Done<> done) override {
    transfer({.iova = iova, .into = into, .from = {}, .done = std::move(done)});
  }
  void dma_write(iommu::Iova iova, ConstBytes from, Done<> done) override {
    transfer({.iova = iova, .into = {}, .from = from, .done = std::move(done)});
  }
  bool copies_at_once(iommu::IovaRange range) const override {
    Lock lock(memory_->mutex);
    return !by_message_ && memory_->find(range, iommu::Access::none);
  }
  vfio::IrqSet& irqs() override { return irqs_; }
  std::uint64_t id() const override { return id_; }

 private:
  struct Mapping {
    iommu::Access access = iommu::Access::none;
    bool copied = false;
    std::vector<std::byte> bytes;
  };
  struct Memory {
    // A range that one mapping holds.
    Result<Bytes> find(iommu::IovaRange range, iommu::Access access) UMDEV_REQUIRES(mutex) {
      if (!range.valid()) return fail(EINVAL, "an empty range, or one that wraps");
      auto next = mappings.upper_bound(range.iova);
      if (next == mappings.begin()) return fail(EINVAL, "not mapped");
      auto& [start, mapping] = *std::prev(next);
      if (!range_fits(range.iova - start, range.size, mapping.bytes.size()))
        return fail(EINVAL, "not mapped");
      if (!iommu::allows(mapping.access, access)) return fail(EPERM, "not mapped for this access");
      return Bytes(mapping.bytes).subspan(range.iova - start, range.size);
    }
    bool is_copied(iommu::Iova iova) const UMDEV_REQUIRES(mutex) {
      return std::prev(mappings.upper_bound(iova))->second.copied;
    }

    mutable Mutex mutex;
    std::map<iommu::Iova, Mapping> mappings UMDEV_GUARDED_BY(mutex);
    std::size_t pins UMDEV_GUARDED_BY(mutex) = 0;
  };
  struct Pinned final : iommu::DmaPin::Holder {
    explicit Pinned(std::shared_ptr<Memory> where) : memory(std::move(where)) {}
    void unpin(iommu::DmaPin&) override {
      Lock lock(memory->mutex);
      --memory->pins;
    }
    bool revoked(const iommu::DmaPin&) const override { return false; }
    const std::shared_ptr<Memory> memory;
  };
  // A read when `into` is not empty, else a write.
  struct Transfer {
    iommu::Iova iova = 0;
    Bytes into;
    ConstBytes from;
    Done<> done;
  };

  static std::vector<vfio::IrqInfo> infos_of(const vfio::Device& device) {
    std::vector<vfio::IrqInfo> infos(device.info().num_irqs);
    for (std::uint32_t index = 0; index < infos.size(); ++index)
      infos[index] = device.irq_info(index).value_or(vfio::IrqInfo{});
    return infos;
  }
  static vfio::IrqLayout layout_of(const vfio::Device& device) {
    return (device.info().flags & abi::vfio_device_flags_pci) != 0 ? vfio::IrqLayout::pci
                                                                   : vfio::IrqLayout::other;
  }

  void transfer(Transfer transfer) {
    {
      Lock lock(memory_->mutex);
      if (by_message_) {
        waiting_.push_back(std::move(transfer));
        return;
      }
    }
    carry_out(std::move(transfer));
  }
  void carry_out(Transfer transfer) {
    Result<> result = copy(transfer);
    transfer.done(std::move(result));
  }
  Result<> copy(const Transfer& transfer) {
    const bool reads = !transfer.into.empty();
    const std::size_t size = reads ? transfer.into.size() : transfer.from.size();
    Lock lock(memory_->mutex);
    const Bytes bytes =
        UMDEV_TRY(memory_->find({transfer.iova, size}, reads ? iommu::Access::read : iommu::Access::write));
    if (reads)
      std::ranges::copy(bytes, transfer.into.begin());
    else
      std::ranges::copy(transfer.from, bytes.begin());
    last_buffer_ = reads ? transfer.into.data() : transfer.from.data();
    return {};
  }

  static inline std::atomic<std::uint64_t> next_id = 1;
  const std::uint64_t id_ = next_id.fetch_add(1);
  const std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
  bool by_message_ UMDEV_GUARDED_BY(memory_->mutex) = false;
  const std::byte* last_buffer_ UMDEV_GUARDED_BY(memory_->mutex) = nullptr;
  std::deque<Transfer> waiting_ UMDEV_GUARDED_BY(memory_->mutex);
  FakeWatcher watcher_;
  vfio::IrqSet irqs_;
  IrqClient client_{irqs_};
};

}  // namespace umdev::test
