// Gives the device model's events to the kernel, which sends them to everyone who listens for uevents in a
// network namespace (see os::UeventSocket). What `umdev watch --uevents` does, without a second program.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "umdev/device/event.h"
#include "umdev/os/uevent_socket.h"
#include "umdev/support/log.h"
#include "umdev/support/mutex.h"

namespace umdev::daemon {

// One thread of its own, which waits for nobody but the kernel. Public members: any one thread; the counters
// any. The events and the log outlive it.
class UeventSender {
 public:
  // Keeps the events from here on, and sends none before start(). `name_space` is the path of a network
  // namespace, or "self". The errors of os::UeventSocket, EPERM among them.
  static Result<std::unique_ptr<UeventSender>> create(device::Events& events, const std::string& name_space,
                                                      Log& log);
  ~UeventSender();
  UeventSender(const UeventSender&) = delete;
  UeventSender& operator=(const UeventSender&) = delete;

  // What the events tell of can be seen from now on. EAGAIN without a thread.
  Result<> start();
  // Sends what there is still, and ends.
  void stop();

  std::uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }
  // Not sent, or lost before: the queue was full.
  std::uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  struct Bell;
  UeventSender(os::UeventSocket socket, Log& log);
  void run();
  void send_all();
  void fail_to_send(const Error& error);

  os::UeventSocket socket_;
  Log& log_;
  const std::shared_ptr<Bell> bell_;  // shared with the subscription's wake
  device::Events::Subscription events_;
  std::thread thread_;
  bool complained_ = false;
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<std::uint64_t> failed_ = 0;
};

}  // namespace umdev::daemon
