// Does in a program's place what an instruction would have done.
#pragma once

#include "umdev/run/instruction.h"

namespace umdev::run {

// What the program has at its addresses: memory, or a device's registers.
class ProgramMemory {
 public:
  virtual ~ProgramMemory() = default;
  // All of it, or an error. What is wider than 8 bytes comes in pieces of 8, from the lowest address on.
  virtual Result<> load(std::uint64_t address, Bytes into) = 0;
  virtual Result<> store(std::uint64_t address, ConstBytes from) = 0;
};

// A string instruction goes on the next time after so many steps.
inline constexpr std::uint64_t string_steps_max = 4096;

// Where the instruction's memory operand is. (Not of a string instruction: rdi and rsi say that.)
std::uint64_t address_of(const Instruction& instruction, const CpuRegisters& registers);

// Afterwards `registers` are as the processor would leave them. After an error they are as before, or, in the
// middle of a repeated string instruction, as before the step that failed. The error is the memory's.
Result<> execute(const Instruction& instruction, CpuRegisters& registers, ProgramMemory& memory);

}  // namespace umdev::run
