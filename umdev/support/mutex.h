// std::mutex with clang's thread-safety annotations, so that `-Wthread-safety` proves who holds what.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define UMDEV_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define UMDEV_THREAD_ANNOTATION(x)
#endif

#define UMDEV_CAPABILITY(name) UMDEV_THREAD_ANNOTATION(capability(name))
#define UMDEV_SCOPED_CAPABILITY UMDEV_THREAD_ANNOTATION(scoped_lockable)
#define UMDEV_GUARDED_BY(mutex) UMDEV_THREAD_ANNOTATION(guarded_by(mutex))
#define UMDEV_REQUIRES(...) UMDEV_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define UMDEV_EXCLUDES(...) UMDEV_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define UMDEV_ACQUIRE(...) UMDEV_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define UMDEV_TRY_ACQUIRE(...) UMDEV_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define UMDEV_RELEASE(...) UMDEV_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define UMDEV_NO_THREAD_SAFETY_ANALYSIS UMDEV_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace umdev {

class UMDEV_CAPABILITY("mutex") Mutex {
 public:
  void lock() UMDEV_ACQUIRE() {
    mutex_.lock();
    ++held_by_this_thread;
  }
  bool try_lock() UMDEV_TRY_ACQUIRE(true) {
    const bool locked = mutex_.try_lock();
    held_by_this_thread += locked ? 1 : 0;
    return locked;
  }
  void unlock() UMDEV_RELEASE() {
    --held_by_this_thread;
    mutex_.unlock();
  }

  // How many umdev mutexes the calling thread holds. The core asserts that it is none when it calls a driver:
  // no core lock may be held while a driver callback runs.
  static int count_held_by_this_thread() { return held_by_this_thread; }

 private:
  static inline thread_local int held_by_this_thread = 0;
  std::mutex mutex_;
};

class UMDEV_SCOPED_CAPABILITY Lock {
 public:
  explicit Lock(Mutex& mutex) UMDEV_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() UMDEV_RELEASE() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits on a Mutex. Only for threads that serve no client (see ARCHITECTURE.md).
class Condition {
 public:
  void wait(Mutex& mutex) UMDEV_REQUIRES(mutex) { condition_.wait(mutex); }
  template <typename Duration>
  bool wait_for(Mutex& mutex, Duration duration) UMDEV_REQUIRES(mutex) {
    return condition_.wait_for(mutex, duration) == std::cv_status::no_timeout;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

}  // namespace umdev
