// Any messages to a session that has its device: nothing but answers and ends may come of it, and everything
// is given back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tests/support/core_world.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/version.h"

namespace umdev::vfio_user {
namespace {

class Target final : public SessionObserver {
 public:
  Target() {
    session_ =
        Session::create({.core = world_.core.get(),
                         .executor = &world_.host.executor(),
                         .clock = &world_.host.clock(),
                         .counters = &counters_,
                         .limits = &limits_,
                         .budget = budget_},
                        {.iommu_group = device_.group, .name = "device", .caller = {}}, outbox_, *this);
    const auto version = encode_version({});
    const auto header = make_command(0, abi::vfio_user_version, version.size());
    feed(bytes_of(header), false);
    feed(version, false);
    UMDEV_ASSERT(session_->is_open(), "the session has no device");
  }
  ~Target() override {
    session_->end("the input ends");
    session_.reset();
    device_.registration.unregister(RemovePolicy::force, [](Result<>) {});
    world_.host.advance(std::chrono::seconds(60));
    UMDEV_ASSERT(budget_->mappings() == 0 && budget_->bytes() == 0, "a mapping was left behind");
  }

  // False when the session or its stream has ended.
  bool feed(ConstBytes bytes, bool with_descriptors) {
    if (with_descriptors) attach(bytes.size());
    while (!bytes.empty()) {
      const Bytes space = assembler_.space();
      const std::size_t count = std::min(bytes.size(), space.size());
      std::ranges::copy(bytes.first(count), space.begin());
      assembler_.commit(count);
      bytes = bytes.subspan(count);
      if (!handle_messages()) return false;
    }
    return true;
  }

  void session_changed() override {}

 private:
  bool handle_messages() {
    for (;;) {
      if (session_->has_ended()) return false;
      const auto frame = assembler_.next();
      if (!frame) return false;
      if (!*frame) return true;
      session_->handle(**frame);
      // An unmap that waits for a pin, an access: all end at their deadlines.
      if (session_->is_busy()) world_.host.advance(std::chrono::seconds(60));
      UMDEV_ASSERT(!session_->is_busy(), "the session waits for ever");
      while (!outbox_.empty()) outbox_.sent(outbox_.front().size());
    }
  }
  void attach(std::size_t count) {
    for (std::size_t i = 0; i < count % 20; ++i) {
      auto fd = i % 2 == 0 ? memory_.dup() : event_.dup();
      if (fd) assembler_.incoming_fds().push(std::move(*fd));
    }
  }

  test::CoreWorld world_;
  test::CoreWorld::Registered device_ = world_.add_device("device");
  const Limits limits_;
  Counters counters_;
  const std::shared_ptr<MappingBudget> budget_ = std::make_shared<MappingBudget>(64, 1ULL << 40);
  Outbox outbox_;
  FrameAssembler assembler_{limits_.message(), 256};
  const os::UniqueFd memory_ = os::create_memfd("client", 64ULL * 4096).value();
  const os::EventFd event_ = os::EventFd::create().value();
  std::shared_ptr<Session> session_;
};

}  // namespace
}  // namespace umdev::vfio_user

// The first byte of each piece says how long it is and whether descriptors come with it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::vfio_user::Target target;
  umdev::ConstBytes rest = std::as_bytes(std::span(data, size));
  while (!rest.empty()) {
    const auto first = static_cast<std::size_t>(rest[0]);
    rest = rest.subspan(1);
    const std::size_t count = std::min(rest.size(), first % 128);
    if (!target.feed(rest.first(count), first >= 128)) break;
    rest = rest.subspan(count);
  }
  return 0;
}
