// A device whose calls stop inside until the test lets them go, and that counts who is inside.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "umdev/support/inline_function.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/device.h"

namespace umdev::test {

// Every call runs the test's hook in the middle, and is recorded by name. Any thread.
class GateDevice final : public vfio::Device {
 public:
  // What happened, shared with the test, which often gives the device away.
  struct Seen {
    void enter(std::string call) {
      const int inside = ++inside_now;
      int most = inside_most.load();
      while (most < inside && !inside_most.compare_exchange_weak(most, inside)) {
      }
      Lock lock(mutex);
      calls.push_back(std::move(call));
    }
    std::vector<std::string> all() const {
      Lock lock(mutex);
      return calls;
    }
    std::size_t count(const std::string& call) const {
      Lock lock(mutex);
      return static_cast<std::size_t>(std::ranges::count(calls, call));
    }

    std::atomic<int> inside_now = 0;
    std::atomic<int> inside_most = 0;
    mutable Mutex mutex;
    std::vector<std::string> calls UMDEV_GUARDED_BY(mutex);
    // Set before the device is used. They run inside the call; `on_read`, `on_open` and `on_close` may keep
    // what they are given and complete it later.
    InlineFunction<void(), 64> in_every_call;
    InlineFunction<void(vfio::ReadRequest), 64> on_read;
    InlineFunction<void(Done<>), 64> on_open;
    InlineFunction<void(Done<>), 64> on_close;
  };

  explicit GateDevice(std::shared_ptr<Seen> seen) : seen_(std::move(seen)) {}

  std::string_view name() const override { return "gate"; }
  vfio::DeviceInfo info() const override { return {.num_regions = 1, .num_irqs = 1}; }
  Result<vfio::RegionInfo> region_info(std::uint32_t) const override {
    return vfio::RegionInfo{.flags = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write,
                            .size = 4096};
  }
  Result<vfio::IrqInfo> irq_info(std::uint32_t) const override {
    return vfio::IrqInfo{.flags = abi::vfio_irq_info_eventfd, .count = 1};
  }
  Result<> match_token(const std::optional<Uuid>& token) const override {
    if (!token) return fail(EACCES, "a token is needed");
    return {};
  }
  bool pins_memory() const override { return true; }

  void open_device(vfio::User&, Done<> done) override {
    const Inside inside(*seen_, "open");
    if (seen_->on_open) return seen_->on_open(std::move(done));
    done();
  }
  void close_device(vfio::User&, Done<> done) override {
    const Inside inside(*seen_, "close");
    if (seen_->on_close) return seen_->on_close(std::move(done));
    done();
  }
  void read(vfio::ReadRequest request) override {
    const Inside inside(*seen_, "read");
    if (seen_->on_read) return seen_->on_read(std::move(request));
    request.complete_all();
  }
  void write(vfio::WriteRequest request) override {
    const Inside inside(*seen_, "write");
    request.complete_all();
  }
  void reset(vfio::User&, Done<> done) override {
    const Inside inside(*seen_, "reset");
    done();
  }
  Result<> set_irqs(vfio::User& user, vfio::IrqRequest& request) override {
    const Inside inside(*seen_, "set_irqs");
    return user.irqs().set(request);
  }
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User&, const vfio::MmapRequest&) override {
    const Inside inside(*seen_, "mmap");
    return std::vector<vfio::MmapExtent>{};
  }
  void request(unsigned) override { const Inside inside(*seen_, "request"); }
  void dma_unmap(vfio::User&, iommu::IovaRange) override { const Inside inside(*seen_, "dma_unmap"); }
  Result<std::vector<std::byte>> device_feature(vfio::User&, const vfio::FeatureRequest&) override {
    const Inside inside(*seen_, "feature");
    return std::vector<std::byte>{};
  }
  Result<std::uint32_t> ioctl(vfio::User&, vfio::IoctlRequest) override {
    const Inside inside(*seen_, "ioctl");
    return 7U;
  }

 private:
  struct Inside {
    Inside(Seen& where, std::string call) : seen(where) {
      seen.enter(std::move(call));
      if (seen.in_every_call) seen.in_every_call();
    }
    ~Inside() { --seen.inside_now; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    Seen& seen;
  };

  const std::shared_ptr<Seen> seen_;
};

}  // namespace umdev::test
