// Calls of a module's IOMMU driver, and how their callers wait.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "umdev/kernel/calls.h"
#include "umdev/kernel/iommu_registration.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/waiting.h"
#include "umdev/support/done.h"

namespace umdev::kernel {

// `Body` (Call& to Result<T>) inside of a call that the registration was entered for.
template <typename T, typename Body>
class IommuTask final : public Task {
 public:
  IommuTask(std::shared_ptr<IommuRegistration> registration, Body body, Done<T> done)
      : registration_(std::move(registration)), body_(std::move(body)), done_(std::move(done)) {}
  void run(Call& call) override { result_ = (*body_)(call); }
  void crashed() override { result_ = module_crashed(); }
  void finish() override {
    // Whoever is answered may drop what it has of the back end, and that has to be the last of it.
    body_.reset();
    registration_->leave();  // the module may be gone after this
    done_(std::move(result_));
  }

 private:
  std::shared_ptr<IommuRegistration> registration_;
  std::optional<Body> body_;
  Done<T> done_;
  Result<T> result_ = module_crashed();
};

// How a call is made.
enum class CallPlace : std::uint8_t {
  here,       // on this thread, as far as it does not wait
  elsewhere,  // on a thread that may wait, which holds no lock of the framework's
};

template <typename T, typename Body>
void start_call(const std::shared_ptr<IommuRegistration>& registration, const char* callback, CallPlace place,
                Body body, Done<T> done) {
  if (!registration->enter()) return done(fail(ENODEV, "the module has taken its IOMMU driver away"));
  Module& module = registration->module();
  Calls& calls = module.world().calls();
  const CallName name{.module = &module, .callback = callback, .device = ""};
  IommuTask<T, Body> task(registration, std::move(body), std::move(done));
  if (place == CallPlace::here)
    calls.start(name, std::move(task));
  else
    calls.post(name, std::move(task));
}

// How long an answer may take that the core needs at once.
constexpr Duration iommu_answer_limit = std::chrono::seconds(5);

// Waits for the answer; a call that may be made here is one with no lock held.
template <typename T, typename Body>
Result<T> ask(const std::shared_ptr<IommuRegistration>& registration, const char* callback, CallPlace place,
              Body body) {
  return wait_for<T>(
      [&](Done<T> done) { start_call<T>(registration, callback, place, std::move(body), std::move(done)); },
      {.limit = iommu_answer_limit, .leaves_thread = place == CallPlace::here});
}

// For what the core asks with its locks held.
template <typename T = void, typename Body>
Result<T> ask_elsewhere(const std::shared_ptr<IommuRegistration>& registration, const char* callback,
                        Body body) {
  return ask<T>(registration, callback, CallPlace::elsewhere, std::move(body));
}

// For what is asked with no lock held.
template <typename T = void, typename Body>
Result<T> ask_here(const std::shared_ptr<IommuRegistration>& registration, const char* callback, Body body) {
  return ask<T>(registration, callback, CallPlace::here, std::move(body));
}

}  // namespace umdev::kernel
