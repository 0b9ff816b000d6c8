// What `umdev run` says to the mount of device nodes about calls that a file system cannot carry: those whose
// result is a new descriptor, and mmap. The program's call is stopped; whoever supervises it makes the same
// call with a descriptor of the same open file, and gives the program what comes of it.
//
// Our own words, not the kernel's. Both ends come from one build.
#pragma once

#include <cstdint>

namespace umdev::abi {

// The node in the root of the mount on which these calls are made, one at a time; any other call on it is
// ENOTTY. What a call gave and nobody has opened is dropped with its file.
inline constexpr char supervisor_node_name[] = "supervisor";
// The directory in the root in which a new file is found: by its token in 16 hexadecimal digits, once.
inline constexpr char new_files_directory_name[] = "new";

// _IO('U', n): the argument is the address of the structure.
inline constexpr std::uint32_t supervised_ioctl = 0x5501;
inline constexpr std::uint32_t supervised_mmap = 0x5502;
inline constexpr std::uint32_t supervised_registers = 0x5503;
inline constexpr std::uint32_t supervised_traced_mmap = 0x5506;
// On a file that SupervisedRegisters has given.
inline constexpr std::uint32_t supervised_is_open = 0x5504;  // 0 while the device is, else ENODEV
inline constexpr std::uint32_t supervised_unknown = 0x5505;

// An ioctl on `fd`, a descriptor of the supervisor's. `argument` is as the program's, but an address in the
// supervisor's memory.
struct SupervisedIoctl {
  std::int32_t fd;
  std::uint32_t command;
  std::uint64_t argument;
  // A socket of the supervisor's, to which a descriptor that is none of the mount's files is sent.
  std::int32_t channel;
  // --- The answer.
  std::int32_t value;         // of the call, where it succeeded
  std::uint32_t kind;         // supervised_answer_*
  std::uint32_t has_address;  // the number of the new descriptor goes there, not into the result
  std::uint64_t address;      // as the supervisor gave it
  std::uint64_t token;
};
inline constexpr std::uint32_t supervised_answer_value = 0;
inline constexpr std::uint32_t supervised_answer_file = 1;        // `token` finds it
inline constexpr std::uint32_t supervised_answer_descriptor = 2;  // is on the channel
static_assert(sizeof(SupervisedIoctl) == 48);

// A piece of a mapping: as ioctl::MappedPiece. The descriptor of one that is memory is on the channel, in
// order; of one that is registers, `fd_offset` is where they are in the device's file.
struct SupervisedPiece {
  std::uint64_t position;
  std::uint64_t fd_offset;
  std::uint64_t length;
  std::uint64_t is_registers;
};
inline constexpr std::uint32_t supervised_pieces_max = 16;

struct SupervisedMmap {
  std::int32_t fd;
  std::int32_t channel;
  std::uint64_t offset;
  std::uint64_t length;
  std::uint32_t shared;
  std::uint32_t writable;
  // --- The answer.
  std::uint32_t count;
  std::uint32_t padding;
  SupervisedPiece pieces[supervised_pieces_max];
};
static_assert(sizeof(SupervisedMmap) == 40 + supervised_pieces_max * sizeof(SupervisedPiece));

// What stands for the registers of the device that `fd` is. A file, found by its token, is read and written
// in the program's place as the device's file is, but does not keep the device open: ENODEV once that is
// closed. And, on the channel, an empty file that stays empty: to be mapped, at the offsets of the device's
// file, so that each access is a fault (SIGBUS). Devices take such memory for a device's.
struct SupervisedRegisters {
  std::int32_t fd;
  std::int32_t channel;
  // --- The answer.
  std::uint64_t token;
};
static_assert(sizeof(SupervisedRegisters) == 16);

// A program's mmap() that a filter has stopped, left to the daemon altogether: it makes the mapping and
// answers the call, and from the first registers on it traces the program and serves its accesses, for as
// long as the node is open on which it was asked. EPERM, or any other error: nothing has happened, the call
// still waits.
struct SupervisedTracedMmap {
  std::int32_t thread;    // the caller of mmap()
  std::int32_t listener;  // the filter's: a descriptor of the supervisor's
  // /proc/THREAD/mem, opened for reading and writing: whom the kernel gives that, may do what is asked.
  std::int32_t memory;
  std::int32_t padding;
  std::uint64_t id;  // the call's, at the listener
  std::uint64_t arguments[6];
};
static_assert(sizeof(SupervisedTracedMmap) == 72);

// An access that could not be made for a program, to be said in the log: its instruction is none that can be
// carried out.
struct SupervisedUnknown {
  std::uint64_t offset;  // in the device's file
  std::int32_t process;
  std::uint32_t size;
  std::uint8_t code[16];
};
static_assert(sizeof(SupervisedUnknown) == 32);

}  // namespace umdev::abi
