// What makes one channel go on: descriptor after descriptor, in turns that the host lends.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "drivers/ioat/channel.h"
#include "drivers/ioat/mover.h"
#include "umdev/support/gate.h"
#include "umdev/support/host.h"

namespace umdev::ioat {

// What a worker has of its engine; safe from any thread.
class WorkSource {
 public:
  virtual ~WorkSource() = default;

  // The user whose memory it is, while there is work.
  virtual vfio::User& user() = 0;
  // May the function reach memory at all?
  virtual bool is_bus_master() = 0;

  // The next descriptor of a channel, which is under way then. False when there is none, or none may be begun
  // at present: the worker rests then, until it is started again.
  virtual bool begin(unsigned channel, std::uint64_t& address) = 0;
  virtual std::optional<Channel::Completion> completion(unsigned channel, const Descriptor& descriptor,
                                                        std::uint32_t error) = 0;
  virtual void finish(unsigned channel, const Descriptor& descriptor, std::uint32_t error) = 0;
};

// A turn carries out a bounded number of descriptors and bytes, then the host gets its thread back, and
// another turn is posted. While memory is waited for that is reached by messages, no thread is used at all.
//
// Threads: start() from any, when the worker rests; what it starts is one thing at a time.
class Worker {
 public:
  // Per turn. A descriptor may be as large as spec::transfer_max.
  static constexpr unsigned descriptors_per_turn = 256;
  static constexpr std::uint64_t bytes_per_turn = 16U << 20;

  Worker(WorkSource& source, DeviceHost& host, unsigned channel)
      : source_(source), host_(host), channel_(channel) {}

  // `pass` keeps the device standing until the worker rests again.
  void start(Gate::Pass pass);

  // Gives back what it keeps from one descriptor to the next. While it rests.
  void forget() { mover_.forget(); }

 private:
  enum class Stage : std::uint8_t { idle, fetched, moved, completed };
  enum class Await : std::uint8_t { starting, ended, parked };

  void post();
  void run();
  // One stage each. False: its end is waited for, and may have come already, on another thread.
  [[nodiscard]] bool fetch();
  [[nodiscard]] bool move();
  [[nodiscard]] bool write_completion();
  template <typename Begin>
  [[nodiscard]] bool await(Begin begin);
  void ended(std::uint32_t error);

  WorkSource& source_;
  DeviceHost& host_;
  const unsigned channel_;
  Gate::Pass pass_;

  // Of the descriptor under way.
  Stage stage_ = Stage::idle;
  std::atomic<Await> await_ = Await::starting;
  std::uint64_t address_ = 0;
  std::array<std::byte, spec::descriptor_size> bytes_{};
  Descriptor descriptor_;
  std::uint32_t error_ = 0;
  Channel::Completion completion_;
  Mover mover_;

  unsigned descriptors_left_ = 0;
  std::uint64_t bytes_left_ = 0;
};

}  // namespace umdev::ioat
