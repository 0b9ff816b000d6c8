// What an instruction of a program works with, as values: the registers of an x86-64 processor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace umdev::run {

// By the processor's own numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
struct CpuRegisters {
  static constexpr unsigned rax = 0;
  static constexpr unsigned rcx = 1;
  static constexpr unsigned rsi = 6;
  static constexpr unsigned rdi = 7;
  using Vector = std::array<std::byte, 32>;  // ymm; its first half is xmm

  std::array<std::uint64_t, 16> general{};
  std::uint64_t rip = 0;
  std::uint64_t flags = 0;
  std::uint64_t fs_base = 0;
  std::uint64_t gs_base = 0;
  std::array<Vector, 16> vectors{};
};

// Bits of `flags`.
inline constexpr std::uint64_t carry_flag = 1U << 0;
inline constexpr std::uint64_t parity_flag = 1U << 2;
inline constexpr std::uint64_t adjust_flag = 1U << 4;
inline constexpr std::uint64_t zero_flag = 1U << 6;
inline constexpr std::uint64_t sign_flag = 1U << 7;
inline constexpr std::uint64_t direction_flag = 1U << 10;
inline constexpr std::uint64_t overflow_flag = 1U << 11;

}  // namespace umdev::run
