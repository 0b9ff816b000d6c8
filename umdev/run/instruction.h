// One x86-64 instruction that reaches memory: what it does, said so that somebody else can do it.
//
// Known are the moves that compilers make of loads and stores of registers of a device (in C, or by readl(),
// rte_write32() and the like), arithmetic and bit operations on memory, string moves, and plain vector moves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "umdev/run/cpu_registers.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::run {

inline constexpr std::size_t instruction_size_max = 15;

enum class Operation : std::uint8_t {
  load,          // register = memory
  store,         // memory = source
  exchange,      // both at once
  modify,        // memory = memory OP source
  accumulate,    // register = register OP memory
  compare,       // flags of memory OP source
  load_vector,   // vector register = memory
  store_vector,  // memory = vector register
  move_string,   // [rdi] = [rsi]
  fill_string,   // [rdi] = rax
  load_string,   // rax = [rsi]
};

enum class Arithmetic : std::uint8_t {
  // In the order of the processor's numbers.
  add,
  bit_or,
  adc,
  sbb,
  bit_and,
  sub,
  bit_xor,
  cmp,
  // The bit of that number: asked, set, cleared, turned round.
  bt,
  bts,
  btr,
  btc,
  // Without a source.
  inc,
  dec,
  bit_not,
  neg,
};

// Where a memory operand is.
struct Place {
  static constexpr std::uint8_t none = 0xff;
  std::uint8_t base = none;
  std::uint8_t index = none;
  std::uint8_t scale = 0;  // a shift
  bool from_next_instruction = false;
  bool short_addresses = false;  // of 32 bits
  enum class Segment : std::uint8_t { flat, fs, gs } segment = Segment::flat;
  std::int64_t displacement = 0;
};

struct Instruction {
  Operation operation = Operation::load;
  Arithmetic arithmetic = Arithmetic::add;
  std::uint8_t length = 0;  // of its code
  std::uint8_t width = 0;   // of what it reaches in memory: 1, 2, 4, 8; 16 and 32 for vectors
  Place place;

  // The register, or the source where `has_immediate` is false. A store of one byte may be of ah to bh.
  std::uint8_t reg = 0;
  bool second_byte = false;
  std::uint8_t register_width = 0;  // how much of the register a load writes
  bool sign_extends = false;
  bool swaps_bytes = false;
  bool has_immediate = false;
  std::uint64_t immediate = 0;   // sign-extended
  bool bit_in_register = false;  // the register's bit number may lead beyond the operand
  bool clears_upper = false;  // a load into a vector register clears what it does not write, up to 32 bytes
  bool repeats = false;       // rcx times
};

// The instruction that `code` begins with; bytes behind it do not matter. EILSEQ: it reaches no memory or is
// none of those above; ENODATA: the code ends in the middle.
Result<Instruction> decode(ConstBytes code);

}  // namespace umdev::run
