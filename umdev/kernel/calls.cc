#include "umdev/kernel/calls.h"

#include "umdev/kernel/module.h"
#include "umdev/kernel/vfio_record.h"

namespace umdev::kernel {
namespace {

// A thread keeps a few stacks for its next calls (more than one: a module's call may lead to another's).
template <typename Slot>
struct Spare {
  static constexpr std::size_t most = 4;
  std::array<std::unique_ptr<Slot>, most> slots;
  std::size_t count = 0;
};

}  // namespace

// Not inline, as current_call().
template <typename Slot>
[[gnu::noinline]] static Spare<Slot>& spare() {
  thread_local Spare<Slot> slots;
  return slots;
}

Calls::Slot* Calls::prepare(const CallName& name) {
  auto& kept = spare<Slot>();
  std::unique_ptr<Slot> slot =
      kept.count > 0 ? std::move(kept.slots[--kept.count]) : std::make_unique<Slot>();
  // Without memory for a stack the call runs on this thread's own, and waits there if it has to.
  if (!slot->fiber_)
    if (auto fiber = Fiber::create()) slot->fiber_ = std::move(*fiber);
  slot->began_ = false;
  slot->call_ = Call();
  slot->call_.module = name.module;
  slot->call_.callback = name.callback;
  slot->call_.device = name.device;
  return slot.release();
}

void Calls::Slot::run() {
  Module& module = *call_.module;
  if (module.has_crashed()) return task_->crashed();
  const auto crash = os::CrashGuard::call(
      module.code(), call_.callback,
      [](void* raw) {
        auto& slot = *static_cast<Slot*>(raw);
        slot.task_->run(slot.call_);
      },
      this);
  if (!crash) return;
  module.note_crash(call_, *crash);
  if (call_.inside != nullptr) std::exchange(call_.inside, nullptr)->leave();
  task_->crashed();
}

void Calls::run_here(Slot* slot) {
  slot->call_.fiber = slot->fiber_.get();
  carry_on(slot);
}

void Calls::run_elsewhere(Slot* slot) {
  threads_.post([this, slot] { carry_on(slot); });
}

void Calls::carry_on(Slot* slot) {
  Call* const before = set_current_call(&slot->call_);
  bool ended = true;
  if (slot->fiber_) {
    ended = slot->began_ ? slot->fiber_->resume() : (slot->began_ = true, slot->fiber_->start(*slot));
  } else {
    slot->run();
  }
  set_current_call(before);
  if (ended) return finish(slot);
  run_elsewhere(slot);
}

void Calls::finish(Slot* slot) {
  std::unique_ptr<Slot> owned(slot);
  owned->task_->finish();
  owned->task_->~Task();
  owned->task_ = nullptr;
  auto& kept = spare<Slot>();
  if (kept.count < kept.most) kept.slots[kept.count++] = std::move(owned);
}

void Calls::about_to_wait() {
  Call* const call = current_call();
  if (call == nullptr || call->fiber == nullptr) return;
  std::exchange(call->fiber, nullptr)->suspend();
}

}  // namespace umdev::kernel
