// What programs can make grow at this door, and how far.
#pragma once

#include <cstddef>
#include <cstdint>

namespace umdev::uapi {

struct Limits {
  // Threads that may hang in a program's call (its memory is behind a server that does not answer) before
  // everybody's calls wait.
  std::size_t hanging_calls = 64;
  // Bytes of one read() or write(); longer ones are cut by the kernel already.
  std::size_t access_max = std::size_t{1} << 20;
  // Calling threads that are remembered; beyond it those that are gone, then all, are forgotten.
  std::size_t remembered_threads = 256;
  // Files given out as results that nobody has opened yet, of one supervisor.
  std::size_t new_files_per_supervisor = 16;
  // Nodes whose permissions somebody has changed; beyond it they are as they were.
  std::size_t changed_nodes = 4096;
  // Mappings of programs' files, and their bytes.
  std::uint32_t file_mappings = 16384;
  std::uint64_t mapped_bytes = std::uint64_t{16} << 40;
  std::uint32_t file_mappings_per_program = 4096;
  std::uint64_t mapped_bytes_per_program = std::uint64_t{8} << 40;
  // A file up to this size, in bytes, is mapped whole.
  std::uint64_t whole_file = std::uint64_t{64} << 30;
};

}  // namespace umdev::uapi
