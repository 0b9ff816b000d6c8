// A back end of containers that keeps what the core asks of it, and fails on demand.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/mutex.h"

namespace umdev::test {

// The calls of one driver and all its instances, in their order. Any thread.
class IommuCalls {
 public:
  std::vector<std::string> all() const {
    Lock lock(mutex_);
    return calls_;
  }
  std::size_t count(const std::string& call) const {
    Lock lock(mutex_);
    return static_cast<std::size_t>(std::count(calls_.begin(), calls_.end(), call));
  }
  void clear() {
    Lock lock(mutex_);
    calls_.clear();
  }
  // The next `times` calls of this text ("attach 7") or with this first word ("attach") fail.
  void fail(const std::string& call, int code, int times = 1) {
    Lock lock(mutex_);
    failures_[call] = {code, times};
  }

  // For the fakes: keeps the call, and says whether it is to fail.
  Result<> record(const std::string& call) {
    Lock lock(mutex_);
    calls_.push_back(call);
    for (const std::string& key : {call, call.substr(0, call.find(' '))}) {
      const auto failure = failures_.find(key);
      if (failure == failures_.end() || failure->second.times == 0) continue;
      --failure->second.times;
      return umdev::fail(failure->second.code, "the test said so");
    }
    return {};
  }

  // The same for a call that cannot fail.
  void note(const std::string& call) { [[maybe_unused]] const Result<> said = record(call); }

 private:
  struct Failure {
    int code = 0;
    int times = 0;
  };
  mutable Mutex mutex_;
  std::vector<std::string> calls_ UMDEV_GUARDED_BY(mutex_);
  std::map<std::string, Failure> failures_ UMDEV_GUARDED_BY(mutex_);
};

struct FakeIommuOptions {
  std::string name = "fake";
  // Answered with 1; those that are types can be opened (open() takes any type).
  std::vector<std::uint32_t> extensions = {abi::vfio_type1v2_iommu};
  bool no_iommu = false;
  bool registers_devices = true;
  bool unregisters_devices = true;
  // false: the back end has no pin_pages and no dma_rw (ENOTTY).
  bool pins = false;
};

// "check_extension N" is not kept. Kept are "attach N", "detach N", "info", "map IOVA SIZE", "unmap IOVA
// SIZE", "pin IOVA SIZE", "unpin IOVA SIZE", "dma_read IOVA SIZE", "dma_write IOVA SIZE" (numbers as 0x1000),
// "register", "unregister" and, when it is destroyed, "release". Unmap answers with the size it was asked
// for.
class FakeIommuInstance final : public iommu::IommuInstance {
 public:
  FakeIommuInstance(std::shared_ptr<IommuCalls> calls, FakeIommuOptions options)
      : calls_(std::move(calls)), options_(std::move(options)) {}
  ~FakeIommuInstance() override { calls_->note("release"); }

  int check_extension(std::uint32_t extension) const override {
    return std::count(options_.extensions.begin(), options_.extensions.end(), extension) != 0 ? 1 : 0;
  }
  Result<> attach_group(const iommu::GroupAttachment& group) override {
    return calls_->record("attach " + std::to_string(group.iommu_group));
  }
  void detach_group(const iommu::GroupAttachment& group) override {
    calls_->note("detach " + std::to_string(group.iommu_group));
  }
  Result<iommu::IommuInfo> info() const override {
    UMDEV_TRY(calls_->record("info"));
    return iommu::IommuInfo{.page_sizes = iommu::page_size, .dma_available = 1, .valid_iova = {}};
  }
  Result<> map(iommu::MapRequest request) override {
    return calls_->record(text("map", {request.iova, request.size}));
  }
  void unmap(const iommu::UnmapRequest& request, Done<std::uint64_t> done) override {
    if (Result<> allowed = calls_->record(text("unmap", {request.iova, request.size})); !allowed) {
      return done(std::unexpected(allowed.error()));
    }
    done(request.size);
  }
  Result<iommu::DmaPin> pin(iommu::DmaUser& user, iommu::IovaRange range, iommu::Access access) override {
    if (!options_.pins) return IommuInstance::pin(user, range, access);
    UMDEV_TRY(calls_->record(text("pin", range)));
    auto holder = std::make_unique<Holder>(calls_);
    if (range.size > holder->memory.size()) return fail(ENOMEM, "the fake has one page a pin");
    iommu::DmaSegment segment{.data = holder->memory.data(), .length = range.size};
    return iommu::DmaPin(std::move(holder), range, access, segment, 0);
  }
  void dma_read(iommu::DmaUser& user, iommu::Iova iova, Bytes into, Done<> done) override {
    if (!options_.pins) return IommuInstance::dma_read(user, iova, into, std::move(done));
    done(calls_->record(text("dma_read", {iova, into.size()})));
  }
  void dma_write(iommu::DmaUser& user, iommu::Iova iova, ConstBytes from, Done<> done) override {
    if (!options_.pins) return IommuInstance::dma_write(user, iova, from, std::move(done));
    done(calls_->record(text("dma_write", {iova, from.size()})));
  }
  void register_user(iommu::DmaUser&) override { calls_->note("register"); }
  void unregister_user(iommu::DmaUser&) override { calls_->note("unregister"); }

 private:
  struct Holder final : iommu::DmaPin::Holder {
    explicit Holder(std::shared_ptr<IommuCalls> the_calls) : calls(std::move(the_calls)) {}
    void unpin(iommu::DmaPin& pin) override { calls->note(text("unpin", pin.range())); }
    bool revoked(const iommu::DmaPin&) const override { return false; }
    std::shared_ptr<IommuCalls> calls;
    std::array<std::byte, iommu::page_size> memory{};
  };

  static std::string text(const char* call, iommu::IovaRange range) {
    std::array<char, 64> line{};
    std::snprintf(line.data(), line.size(), "%s 0x%llx 0x%llx", call,
                  static_cast<unsigned long long>(range.iova), static_cast<unsigned long long>(range.size));
    return line.data();
  }

  const std::shared_ptr<IommuCalls> calls_;
  const FakeIommuOptions options_;
};

// "open TYPE" is kept too.
class FakeIommuDriver final : public iommu::IommuDriver {
 public:
  explicit FakeIommuDriver(FakeIommuOptions options = {}) : options_(std::move(options)) {}

  IommuCalls& calls() { return *calls_; }

  std::string_view name() const override { return options_.name; }
  int check_extension(std::uint32_t extension) const override {
    return std::count(options_.extensions.begin(), options_.extensions.end(), extension) != 0 ? 1 : 0;
  }
  Result<std::shared_ptr<iommu::IommuInstance>> open(std::uint32_t type) override {
    UMDEV_TRY(calls_->record("open " + std::to_string(type)));
    return std::make_shared<FakeIommuInstance>(calls_, options_);
  }
  bool no_iommu() const override { return options_.no_iommu; }
  bool registers_devices() const override { return options_.registers_devices; }
  bool unregisters_devices() const override { return options_.unregisters_devices; }

 private:
  const FakeIommuOptions options_;
  const std::shared_ptr<IommuCalls> calls_ = std::make_shared<IommuCalls>();
};

}  // namespace umdev::test
