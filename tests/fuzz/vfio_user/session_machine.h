// What the session fuzzer drives: a device, two places for clients, files that they lend. Made once; every
// input leaves it as it found it, which is checked.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tests/support/core_world.h"
#include "tests/support/vfio_user/busy_device.h"
#include "tests/support/vfio_user/model_client.h"
#include "umdev/os/event_fd.h"
#include "umdev/vfio_user/connection.h"

namespace umdev::vfio_user {

class SessionMachine final : public ConnectionOwner, public std::enable_shared_from_this<SessionMachine> {
 public:
  static constexpr std::size_t client_count = 2;
  static constexpr std::size_t file_count = 4;

  // One client and its connection.
  struct Seat {
    std::unique_ptr<test::ModelClient> client;
    std::shared_ptr<Connection> connection;
  };
  // A descriptor that a client may send: memory files by number, one that cannot be written, and others.
  struct Lent {
    os::UniqueFd fd;
    test::SentDescriptor what;
  };

  SessionMachine();
  ~SessionMachine() override;

  // Puts a device there, if none is.
  void begin();
  // Everything that waits is answered, time passes, and nothing is left. Throws test::ModelViolation.
  void finish();

  Seat& seat(std::size_t index) { return seats_.at(index); }
  // Whoever sat there goes away.
  void connect(std::size_t index);
  void hang_up(std::size_t index);
  // Lets everybody have turns until nothing moves.
  void run();
  void advance(Duration by);
  void resize(std::size_t file, std::uint64_t pages);
  Lent lend(std::size_t which) const;
  void remove_device();
  void disturb();
  test::BusyDeviceState& device() { return *state_; }

  // ^ConnectionOwner
  void connection_ended(Connection& connection, std::string_view reason) override;

 private:
  static constexpr std::array<std::uint64_t, file_count> usual_pages{16, 16, 4, 1};

  void settle(Seat& seat) const;
  void check_nothing_left() const;

  test::CoreWorld world_;
  test::FakeNetwork network_{world_.host};
  const std::unique_ptr<os::EventLoop> loop_ = os::EventLoop::create().value();
  const Limits limits_;
  Counters counters_;
  const std::shared_ptr<iommu::MappingBudget> budget_ =
      std::make_shared<iommu::MappingBudget>(64, 1ULL << 40);
  const std::shared_ptr<device::Device> parent_ = world_.add_parent("device");
  const std::shared_ptr<test::BusyDeviceState> state_ = std::make_shared<test::BusyDeviceState>();
  std::shared_ptr<vfio::RegisteredDevice> device_;
  Registration registration_;
  std::array<os::UniqueFd, file_count> files_;
  std::array<std::uint64_t, file_count> pages_ = usual_pages;
  os::UniqueFd read_only_;  // of the first file
  os::UniqueFd null_device_;
  os::EventFd event_ = os::EventFd::create().value();
  std::array<Seat, client_count> seats_;
};

}  // namespace umdev::vfio_user
