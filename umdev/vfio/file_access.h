// One access of one device file, from the door's call to the driver's last word.
#pragma once

#include <atomic>
#include <memory>

#include "umdev/support/host.h"
#include "umdev/vfio/access.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// Counted by whoever may still touch it: the frame that called the driver, the driver's request, the
// deadline's timer. It is answered exactly once: by the driver, by the deadline, or by the file being cut
// off.
class FileAccess final : public AccessSlot {
 public:
  // A counted reference.
  class Ref {
   public:
    explicit Ref(FileAccess& access) : access_(&access) {
      access.references_.fetch_add(1, std::memory_order_relaxed);
    }
    // One that is counted already.
    static Ref adopt(FileAccess& access) { return Ref(&access); }
    Ref(Ref&& other) noexcept : access_(std::exchange(other.access_, nullptr)) {}
    Ref& operator=(Ref&&) = delete;
    ~Ref() {
      if (access_ != nullptr) access_->drop_reference();
    }
    FileAccess& operator*() const { return *access_; }
    FileAccess* operator->() const { return access_; }

   private:
    explicit Ref(FileAccess* access) : access_(access) {}
    FileAccess* access_;
  };

  // Begins an access, with the spare slot of the file or a new one. It is counted twice: for the driver's
  // request, and for the caller, who says next who waits for it.
  static FileAccess& begin(DeviceFile& file, std::uint32_t region, std::uint64_t offset, Bytes data);
  void set_done(Done<std::size_t> done) { done_ = std::move(done); }
  void set_waiter(AccessOwner& waiter) { waiter_ = &waiter; }

  // After the driver's call returned. True as a rule: the access is over, the slot is the file's again, and
  // nothing of the caller's was kept. Otherwise keep() follows.
  bool ended_with_the_call();
  // Keeps what the driver may touch yet; when it has not answered, the deadline runs from now. The caller's
  // reference goes.
  void keep(RegisteredDevice::Stay stay, std::shared_ptr<void> owner);

  // ^AccessSlot
  void complete(Result<std::size_t> result) override;
  void let_go() override { drop_reference(); }

  // Answers in the driver's place.
  void answer_instead(Error error);

 private:
  enum class State : std::uint8_t { inside_call, waiting, answered };

  void run_deadline();
  bool win_answer(bool only_if_waiting);
  void answer(Result<std::size_t>& result);
  void drop_reference();
  void give_back();

  std::atomic<std::uint32_t> references_ = 0;
  std::atomic<State> state_ = State::answered;
  DeviceFile* file_ = nullptr;
  AccessOwner* waiter_ = nullptr;  // or done_
  Done<std::size_t> done_;
  // Once the caller has returned: the caller's until then.
  std::shared_ptr<DeviceFile> kept_file_;
  std::optional<RegisteredDevice::Stay> stay_;
  std::shared_ptr<void> owner_;
  Timer deadline_;  // guarded by the file's mutex
};

}  // namespace umdev::vfio
