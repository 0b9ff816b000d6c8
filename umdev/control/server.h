// The control socket: JSON-RPC 2.0, one message a line, on a UNIX stream socket. Requests may be pipelined:
// the calls of a connection run side by side and are answered as they end, so who needs an order waits.
//
// Threads. The server has one of its own, on which all connections are served; it never waits for a client or
// for a call. Everything public is for any one thread that is not this one.
// Lifetimes. The dispatcher and the log outlive the server. Calls may outlive it: their answers are dropped
// then.
// Errors. What a client does ends at most its own connection.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "umdev/control/dispatcher.h"
#include "umdev/os/unix_socket.h"
#include "umdev/support/log.h"

namespace umdev::control {

class Server {
 public:
  struct Config {
    std::string path;  // of any length, see os::listen_at()
    os::SocketFile file = {};
    // Handed over, and listening: served instead of the path. The caller keeps it.
    int handed_socket = -1;
    Dispatcher* dispatcher = nullptr;
    Log* log = nullptr;
  };
  // Listens: the path is connectable when this returns. os::listen_at()'s errors; EMFILE, EAGAIN without
  // descriptors or threads.
  static Result<std::unique_ptr<Server>> start(const Config& config);
  // Closes all connections and removes the path. Waits for its thread.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  class State;
  explicit Server(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace umdev::control
