// Every limit of this door, in one table. What a client can make grow is bounded here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace umdev::control {

struct Limits {
  // One message, its newline not counted. A longer one is answered with an error, and the connection closed.
  std::size_t message = 1U << 18;
  // Calls of one batch; a larger batch is refused as a whole.
  std::size_t batch = 64;
  // Messages of one connection that wait for their answers (removals that wait for users, above all). While
  // there are as many, no more are read.
  std::uint32_t pending = 64;
  // Messages of one connection that have descriptors (253 each at most) and wait to be looked at; those of
  // further ones are closed.
  std::size_t messages_with_descriptors = 4;
  // Answers that wait for their client to read them: above the first no more messages are read, above the
  // second the connection is closed. One listing of all instances has to fit below it.
  std::size_t output_high_water = 1U << 20;
  std::size_t output_max = 1U << 28;
  // Connections at a time; more are told so, and closed.
  std::uint32_t connections = 256;
  // Connections that watch at a time, and what waits for each of them: items in its queue (some 700 bytes
  // each, shared by all that wait for the same one; a create and a remove are eight), and bytes of text that
  // its client does not take. Beyond that it loses items, and is told so.
  std::uint32_t watchers = 128;
  std::size_t watch_queue = 4096;
  std::size_t watch_output = 1U << 17;
  // Items that are handed to one connection before the others have their turn.
  std::uint32_t watch_turn = 256;
  // After how long accepting is tried again when the process had no descriptors left.
  std::chrono::nanoseconds accept_pause = std::chrono::milliseconds(200);
};

}  // namespace umdev::control
