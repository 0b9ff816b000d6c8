// JSON-RPC 2.0 (jsonrpc.org/specification): a message in, a message out. Text only: no socket, no thread.
//
// Answers to what is wrong with a message:
//   -32700  it is no JSON (UTF-8); id null
//   -32600  it is no request: not "2.0", no method, an id that is no string, number or null, parameters that
//           are neither object nor array; an empty batch, or one above the limit
//   -32601  there is no such method
//   -32602  an unknown, missing, doubled or unfit parameter
// Errors of the methods are code -32000, with `message` for people. Every error has `data`: {"errno": 16,
// "name": "EBUSY", "text": "..."}, whose text says more than `message` where there is more to say.
//
// A method that watches answers, and from then on its connection gets notifications: {"jsonrpc": "2.0",
// "method": "event", "params": {...}}, see news.h. A connection watches once.
//
// Descriptors go with the first byte of a message, which is sent by itself then; its method says what they
// are. Those of a batch, or of a method that takes none, are closed.
//
// Parameters come by name, or by position in the order of the method's table. A request without id is a
// notification: it is carried out and never answered, whatever is wrong with it. The calls of a batch run
// side by side; its answer comes when the last has ended.
#pragma once

#include <string>
#include <string_view>

#include "umdev/control/limits.h"
#include "umdev/control/methods.h"

namespace umdev::control {

inline constexpr int code_parse_error = -32700;
inline constexpr int code_invalid_request = -32600;
inline constexpr int code_method_not_found = -32601;
inline constexpr int code_invalid_params = -32602;
inline constexpr int code_failed = -32000;

// Threads: any, several messages at once. Lifetimes: the methods outlive it and every call that it began.
class Dispatcher {
 public:
  explicit Dispatcher(Methods& methods, Limits limits = {}) : methods_(methods), limits_(limits) {}

  // Completes (always with a text) inline or later, from whichever thread ended the call; the text has no
  // newline, and is empty when there is nothing to answer.
  void handle(std::string_view message, const Caller& caller, Done<std::string> done);

  const Limits& limits() const { return limits_; }

 private:
  Methods& methods_;
  const Limits limits_;
};

// The answer to a message that is not looked at: an error with id null.
std::string make_refusal(int code, std::string_view message, int error_number, std::string_view text);

}  // namespace umdev::control
