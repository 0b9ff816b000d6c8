// How a connection waits for its client's bytes: by level, or by edge.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

namespace umdev::vfio_user {

// By level, the kernel looks once more, at each wait, at the socket that was ready at the last one. By edge
// it does not, which spares some six hundredths of a small message's round trip; but then nobody hears again
// of what a receive left behind. So it is by edge only in a conversation, where one receive after the other
// takes all there is, and by level again as soon as one may not have: whoever changes from one to the other
// is told of what is there already.
//
// A receive has taken all when it brought less than there was room for, no descriptors (it ends behind
// those), and nothing but bytes was announced (the end of the stream is another receive's). A client that
// sends bytes out of band can stop a receive short of what it sent behind them: it hears nothing until it
// sends more.
class ReadTrigger {
 public:
  // Of one that found nothing as well.
  void received(bool all) { in_a_row_ = all ? in_a_row_ + (in_a_row_ < conversation ? 1 : 0) : 0; }

  // What to wait for.
  std::uint32_t events() const {
    return in_a_row_ < conversation ? std::uint32_t{EPOLLIN}
                                    : std::uint32_t{EPOLLIN} | std::uint32_t{EPOLLRDHUP} | EPOLLET;
  }

 private:
  // To change costs a system call.
  static constexpr std::uint32_t conversation = 16;

  std::uint32_t in_a_row_ = 0;
};

}  // namespace umdev::vfio_user
