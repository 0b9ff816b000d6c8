#include "umdev/vfio_user/counters.h"

namespace umdev::vfio_user {

void CounterValues::add(const Counters& other) {
  using Values = BasicCounters<std::uint64_t>;
  using Live = BasicCounters<Counter>;
  constexpr struct {
    std::uint64_t Values::* sum;
    Counter Live::* part;
  } singles[] = {
      {&Values::sessions_begun, &Live::sessions_begun},
      {&Values::sessions_opened, &Live::sessions_opened},
      {&Values::sessions_ended, &Live::sessions_ended},
      {&Values::connections_refused, &Live::connections_refused},
      {&Values::silent_clients, &Live::silent_clients},
      {&Values::broken_frames, &Live::broken_frames},
      {&Values::unexpected_replies, &Live::unexpected_replies},
      {&Values::unexpected_descriptors, &Live::unexpected_descriptors},
      {&Values::posted_writes, &Live::posted_writes},
      {&Values::dma_messages, &Live::dma_messages},
      {&Values::bytes_received, &Live::bytes_received},
      {&Values::bytes_sent, &Live::bytes_sent},
  };
  for (const auto& each : singles) this->*each.sum += (other.*each.part).value();
  for (std::size_t i = 0; i < messages.size(); ++i) messages[i] += other.messages[i].value();
  for (std::size_t i = 0; i < latencies.size(); ++i) latencies[i].add(other.latencies[i].values());
  for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += other.errors[i].value();
}

}  // namespace umdev::vfio_user
