// How something that was registered ends.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "umdev/support/assert.h"
#include "umdev/support/done.h"

namespace umdev {

// What becomes of the users of a thing that is being removed:
//   wait   hide it from new users, ask the present ones to let go (again and again), end when the last has
//   gone (kernel >= 5.2) busy   refuse with EBUSY while anyone uses it (the rule of kernels 4.10 to 5.1)
//   force  hide it, then take it away from its users: they are told, their accesses fail, their pins become
//   zero pages
enum class RemovePolicy : std::uint8_t { wait, busy, force };

// Owns one registration. unregister() ends it; the destructor forces an end that has not been asked for, and
// asserts that what was asked for has ended or can no longer touch its owner.
class [[nodiscard]] Registration {
 public:
  class Entry : public std::enable_shared_from_this<Entry> {
   public:
    virtual ~Entry() = default;

   private:
    friend class Registration;
    // Called until it succeeded under RemovePolicy::busy, or once under another policy.
    virtual void unregister(RemovePolicy policy, Done<> done) = 0;

    void end(RemovePolicy policy, Done<> done) {
      if (ended_) return done();
      if (policy != RemovePolicy::busy) {
        ended_ = true;
        return unregister(policy, std::move(done));
      }
      auto asked = std::make_shared<Done<>>(std::move(done));
      unregister(policy, [self = shared_from_this(), asked](Result<> result) {
        if (result) self->ended_ = true;
        (*asked)(std::move(result));
      });
    }
    std::atomic<bool> ended_ = false;
  };

  Registration() = default;
  explicit Registration(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {}
  Registration(Registration&&) noexcept = default;
  Registration& operator=(Registration&& other) noexcept {
    if (this != &other) {
      end();
      entry_ = std::move(other.entry_);
    }
    return *this;
  }
  ~Registration() { end(); }

  explicit operator bool() const { return entry_ != nullptr; }

  // Begins the end; `done` is called when nothing of it is left (or with EBUSY under RemovePolicy::busy, when
  // it stays registered). Never blocks. Any thread.
  void unregister(RemovePolicy policy, Done<> done) {
    UMDEV_ASSERT(entry_, "unregistered twice");
    const std::shared_ptr<Entry> entry =
        policy == RemovePolicy::busy ? entry_ : std::exchange(entry_, nullptr);
    entry->end(policy, std::move(done));
  }

 private:
  void end() {
    if (entry_) std::exchange(entry_, nullptr)->end(RemovePolicy::force, Done<>([](Result<>) {}));
  }

  std::shared_ptr<Entry> entry_;
};

}  // namespace umdev
