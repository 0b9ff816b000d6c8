// One socket and the session behind it: bytes in, bytes out, never waiting.
//
// Threads. Everything is for the thread of its loop, except what says otherwise.
// Lifetimes. Shared. Its owner keeps it, and it keeps its owner, until connection_ended(). It lives until the
// loop's next work at least, so whatever ends it may do so from inside any function of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "umdev/os/event_loop.h"
#include "umdev/os/unique_fd.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/outbox.h"
#include "umdev/vfio_user/read_trigger.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/session_state.h"
#include "umdev/vfio_user/twin_stream.h"

namespace umdev::vfio_user {

class Connection;

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // The connection is over and has given everything back. On its loop's thread, once.
  virtual void connection_ended(Connection& connection, std::string_view reason) = 0;
};

// Receives once for each time that the socket is readable, handles the whole messages that this gave, a
// limited number before the other connections of the loop have had their turn, and sends their replies
// together. While the session waits for its device, or replies wait for their client, the
// socket is not read: what a client can make wait here is one receive buffer and the replies to it. (Where
// the client owes replies of its own, it is read, and commands wait in the session's backlog.)
class Connection final : public SessionObserver, public std::enable_shared_from_this<Connection> {
 public:
  // `world` names `loop` as executor and clock.
  Connection(os::UniqueFd socket, os::EventLoop& loop, SessionWorld world, DeviceAddress device,
             std::shared_ptr<ConnectionOwner> owner);
  ~Connection() override;

  // Begins to serve. An error ends nothing: drop the connection.
  Result<> start();

  // Ends it, whatever is under way.
  void end(std::string_view reason);

  // The session takes no further command until resume(); completes when the one under way is answered, or the
  // connection ends.
  void pause(Done<> done);
  void resume();

  // The session and its sockets, for another place: see vfio::DeviceSessions::take(). While it is paused.
  Result<SessionState> take();
  // The other way round, in place of start(): `state` without its main socket, which the connection has.
  void adopt(SessionState state, Done<> done);

  os::EventLoop& loop() const { return loop_; }

  // Any thread.
  bool is_open() const { return session_->is_open(); }
  std::uint32_t mappings() const { return session_->mappings(); }
  pid_t peer() const { return peer_; }

  // ^SessionObserver
  void session_changed() override;
  Outbox* open_twin(os::UniqueFd socket) override;

 private:
  void ready(std::uint32_t events);
  bool receive(std::uint32_t events);
  void serve();
  bool handle_messages();
  bool may_handle_more() const;
  bool flush();
  void wait_for_events();
  void expect_version();
  Result<> restore(SessionState& state);
  void stood();

  os::EventLoop& loop_;
  const SessionWorld world_;
  std::shared_ptr<ConnectionOwner> owner_;  // until the end
  os::UniqueFd socket_;
  pid_t peer_ = 0;
  FrameAssembler assembler_;
  Outbox outbox_;
  const std::shared_ptr<Session> session_;
  os::Watch watch_;
  ReadTrigger trigger_;
  std::unique_ptr<TwinStream> twin_;
  Timer version_deadline_;
  Done<> stands_;  // to be told when the session does
  std::uint32_t waits_for_ = 0;
  std::uint32_t turn_left_ = 0;  // messages
  bool drained_ = true;          // the assembler has no whole message
  bool at_end_ = false;          // of the stream
  bool frozen_ = false;          // nothing is read or sent
  bool ended_ = false;
};

}  // namespace umdev::vfio_user
