// The second socket of a session: what we ask of the client goes there, and its replies come there.
#pragma once

#include <memory>
#include <string_view>

#include "umdev/os/event_loop.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/inline_function.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/outbox.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/session_state.h"

namespace umdev::vfio_user {

// Never waits. For the thread of its loop; ends with its connection, which also flushes it. A client that
// closes its end has nobody any more who serves its memory; its session goes on.
class TwinStream {
 public:
  // Called when something happened: replies were handled (no reason), or the stream broke.
  using Changed = InlineFunction<void(std::string_view reason), 64>;

  // `session` must outlive it. The loop's errors.
  static Result<std::unique_ptr<TwinStream>> create(os::UniqueFd socket, os::EventLoop& loop,
                                                    SessionWorld world, Session& session, Changed changed);

  Outbox& outbox() { return outbox_; }
  // For the session's move: what it is at present, with copies of its descriptors; and what it was elsewhere.
  Result<StreamState> copy() const;
  Result<> restore(StreamState state);
  // Nobody looks at the socket, until thaw().
  void freeze() { watch_.cancel(); }
  void thaw();

  // Sends what can be sent.
  void flush();

 private:
  Result<> watch();
  TwinStream(os::UniqueFd socket, os::EventLoop& loop, SessionWorld world, Session& session, Changed changed);
  void ready();
  // False when the stream broke.
  bool receive();
  void closed();

  const os::UniqueFd socket_;
  os::EventLoop& loop_;
  const SessionWorld world_;
  Session& session_;
  Changed changed_;
  FrameAssembler assembler_;
  Outbox outbox_;
  os::Watch watch_;
  bool closed_ = false;
};

}  // namespace umdev::vfio_user
