// How modules are called: inline as long as they do not wait, elsewhere from the moment in which they do.
//
// A driver written for the kernel may sleep in every callback, and the thread that brings the request serves
// other clients too. Handing each call to another thread would cost ten times what most calls take. So a call
// begins where it comes in, on a stack of its own (a Fiber). All that can make a driver wait are our
// services, and each of them says so first (about_to_wait): the serving thread then leaves the call where it
// is and goes on serving, and the call continues on a thread that may sleep. Nothing has to be declared or
// learnt: a module that never waits is never handed over, one that waits once is handed over once.
//
// Threads: everything from any thread. Lifetime: outlives every call, as the executor does.
#pragma once

#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "umdev/kernel/call.h"
#include "umdev/kernel/fiber.h"
#include "umdev/support/error.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

// Something to be done in a module. run() is the module's part, on a stack of its own; finish() then
// completes what was asked, off that stack, on the thread on which run() ended.
class Task {
 public:
  virtual ~Task() = default;
  virtual void run(Call& call) = 0;
  // The module has crashed: in run(), which has not come back, or before, and then run() was not called.
  virtual void crashed() {}
  virtual void finish() = 0;
};

// Whom a call is for.
struct CallName {
  Module* module = nullptr;
  const char* callback = "";
  const char* device = "";
};

class Calls {
 public:
  // `threads` runs what waits: an executor that has a thread for each piece of work, or grows.
  // `answer_limit`: how long an answer that is needed at once may take.
  Calls(Executor& threads, Duration answer_limit) : threads_(threads), answer_limit_(answer_limit) {}

  // Runs a task, here as far as it does not wait. Does not allocate.
  template <typename T>
  void start(const CallName& name, T task) {
    Slot* slot = prepare(name);
    slot->emplace(std::move(task));
    run_here(slot);
  }
  // The same on a thread that may wait, from the beginning.
  template <typename T>
  void post(const CallName& name, T task) {
    Slot* slot = prepare(name);
    slot->emplace(std::move(task));
    run_elsewhere(slot);
  }

  // Runs `body` (Call& to Result<T>) and returns its answer. ETIMEDOUT when it waits for longer than the
  // limit: then it goes on without anybody who listens, so what it touches it must own.
  template <typename Body, typename Answer = std::invoke_result_t<Body&, Call&>>
  Answer ask(const CallName& name, Body body) {
    auto asking = std::make_shared<Asking<Answer>>();
    start(name, AskTask<Body, Answer>(std::move(body), asking));
    return asking->wait(answer_limit_);
  }

  // Said by every service that may put the calling thread to sleep: on a serving thread the call moves.
  static void about_to_wait();

 private:
  // One call under way, with its stack. Used again and again.
  class Slot final : public Fiber::Body {
   public:
    static constexpr std::size_t capacity = 256;

    template <typename T>
    void emplace(T task) {
      static_assert(sizeof(T) <= capacity, "captures too much: capture a pointer to a struct instead");
      task_ = std::construct_at(reinterpret_cast<T*>(storage_), std::move(task));
    }
    // ^Fiber::Body
    void run() override;

   private:
    friend class Calls;
    std::unique_ptr<Fiber> fiber_;
    bool began_ = false;
    Call call_;
    Task* task_ = nullptr;
    alignas(std::max_align_t) std::byte storage_[capacity];
  };

  template <typename Answer>
  struct Asking {
    Mutex mutex;
    Condition answered;
    std::optional<Answer> answer UMDEV_GUARDED_BY(mutex);

    void set(Answer value) UMDEV_EXCLUDES(mutex) {
      Lock lock(mutex);
      answer = std::move(value);
      answered.notify_all();
    }
    Answer wait(Duration limit) UMDEV_EXCLUDES(mutex) {
      {
        Lock lock(mutex);
        if (answer) return std::move(*answer);
      }
      about_to_wait();
      Lock lock(mutex);
      while (!answer)
        if (!answered.wait_for(mutex, limit) && !answer) return fail(ETIMEDOUT, "the module does not answer");
      return std::move(*answer);
    }
  };
  template <typename Body, typename Answer>
  struct AskTask final : Task {
    AskTask(Body given, std::shared_ptr<Asking<Answer>> to) : body(std::move(given)), asking(std::move(to)) {}
    Body body;
    std::shared_ptr<Asking<Answer>> asking;
    std::optional<Answer> answer;
    void run(Call& call) override { answer.emplace(body(call)); }
    void crashed() override { answer.emplace(module_crashed()); }
    void finish() override { asking->set(std::move(*answer)); }
  };

  Slot* prepare(const CallName& name);
  void run_here(Slot* slot);
  void run_elsewhere(Slot* slot);
  void carry_on(Slot* slot);
  static void finish(Slot* slot);

  Executor& threads_;
  const Duration answer_limit_;
};

}  // namespace umdev::kernel
