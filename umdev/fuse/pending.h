// Requests that are answered later. Only this folder's own files include this.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>

#include "umdev/fuse/libfuse.h"
#include "umdev/support/done.h"
#include "umdev/support/mutex.h"

namespace umdev::fuse {

// Those of one mount. Each is answered once: by its completion, by EINTR when its caller is interrupted, or
// by the end of the mount; what comes second is dropped. All members from any thread; the completions may
// outlive the mount.
//
// libfuse calls on_interrupt() with the request's own lock held, which is a leaf but for libfuse's own.
class PendingRequests : public std::enable_shared_from_this<PendingRequests> {
 public:
  // What answers the request; to be called on the thread that got it.
  Done<std::string> expect_read(fuse_req_t request);
  Done<std::size_t> expect_write(fuse_req_t request);
  Done<std::int32_t> expect_ioctl(fuse_req_t request);

  // Answers whatever is left, and returns when nobody touches a request any more.
  void end() UMDEV_EXCLUDES(mutex_);

 private:
  struct Entry {
    Entry(std::shared_ptr<PendingRequests> its_owner, fuse_req_t its_request)
        : owner(std::move(its_owner)), request(its_request) {}
    const std::shared_ptr<PendingRequests> owner;
    fuse_req* const request;  // until answered
    std::atomic<bool> answered = false;
    // While add() runs, on the thread that hears of interrupts too.
    bool being_added = true;
    bool interrupted_early = false;
  };

  std::shared_ptr<Entry> add(fuse_req_t request) UMDEV_EXCLUDES(mutex_);
  template <typename Reply>
  static void answer(Entry& entry, Reply reply);
  static void on_interrupt(fuse_req_t request, void* entry);
  void forget(Entry& entry) UMDEV_EXCLUDES(mutex_);

  Mutex mutex_;
  Condition changed_;
  std::unordered_map<Entry*, std::shared_ptr<Entry>> entries_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::fuse
