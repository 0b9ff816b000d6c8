// What an instruction leaves behind in registers and memory.
#include "umdev/run/execution.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace umdev::run {
namespace {

// A page from `begin` on; all else is EFAULT.
class FakeMemory final : public ProgramMemory {
 public:
  static constexpr std::uint64_t begin = 0x1000;

  Result<> load(std::uint64_t address, Bytes into) override {
    UMDEV_TRY(check(address, into.size()));
    accesses.push_back(into.size());
    std::memcpy(into.data(), bytes.data() + (address - begin), into.size());
    return {};
  }
  Result<> store(std::uint64_t address, ConstBytes from) override {
    UMDEV_TRY(check(address, from.size()));
    accesses.push_back(from.size());
    std::memcpy(bytes.data() + (address - begin), from.data(), from.size());
    return {};
  }
  template <typename T>
  T at(std::uint64_t address) const {
    T value;
    std::memcpy(&value, bytes.data() + (address - begin), sizeof value);
    return value;
  }
  void put(std::uint64_t address, std::uint64_t value) {
    std::memcpy(bytes.data() + (address - begin), &value, sizeof value);
  }

  std::vector<char> bytes = std::vector<char>(4096);
  std::vector<std::size_t> accesses;

 private:
  static Result<> check(std::uint64_t address, std::size_t size) {
    if (address < begin || address + size > begin + 4096) return fail(EFAULT, "nothing is there");
    return {};
  }
};

struct ExecutionTest : testing::Test {
  ExecutionTest() {
    cpu.rip = 0x400000;
    cpu.general[CpuRegisters::rdi] = FakeMemory::begin;
  }
  int run(const std::string& code) {
    const auto instruction = decode(std::as_bytes(std::span(code)));
    EXPECT_TRUE(instruction);
    const auto done = execute(*instruction, cpu, memory);
    return done ? 0 : done.error().code;
  }

  CpuRegisters cpu;
  FakeMemory memory;
  std::uint64_t& rax = cpu.general[CpuRegisters::rax];
  std::uint64_t& rcx = cpu.general[CpuRegisters::rcx];
  std::uint64_t& rsi = cpu.general[CpuRegisters::rsi];
  std::uint64_t& rdi = cpu.general[CpuRegisters::rdi];
};

TEST_F(ExecutionTest, a_load_changes_as_much_of_the_register_as_the_processor_does) {
  memory.put(FakeMemory::begin, 0x8182838485868788);
  struct Row {
    const char* code;
    std::uint64_t rax;
  };
  for (const Row& row : std::vector<Row>{{"\x8a\x07", 0x1111111111111188},
                                         {"\x8a\x27", 0x1111111111118811},
                                         {"\x66\x8b\x07", 0x1111111111118788},
                                         {"\x8b\x07", 0x0000000085868788},
                                         {"\x48\x8b\x07", 0x8182838485868788},
                                         {"\x0f\xb6\x07", 0x0000000000000088},
                                         {"\x66\x0f\xbe\x07", 0x111111111111ff88},
                                         {"\x0f\xbe\x07", 0x00000000ffffff88},
                                         {"\x48\x0f\xbf\x07", 0xffffffffffff8788},
                                         {"\x48\x63\x07", 0xffffffff85868788},
                                         {"\x0f\x38\xf0\x07", 0x0000000088878685}}) {
    rax = 0x1111111111111111;
    const std::uint64_t rip = cpu.rip;
    EXPECT_EQ(run(row.code), 0);
    EXPECT_EQ(rax, row.rax);
    EXPECT_EQ(cpu.rip, rip + std::strlen(row.code));
  }
}

TEST_F(ExecutionTest, an_access_that_fails_changes_nothing) {
  rdi = 0x10;
  const CpuRegisters before = cpu;
  for (const char* code :
       {"\x89\x07", "\x8b\x07", "\x09\x07", "\x87\x07", "\x0f\x10\x07", "\x0f\x11\x07", "\xaa"}) {
    EXPECT_EQ(run(code), EFAULT);
    EXPECT_EQ(std::memcmp(&before, &cpu, sizeof cpu), 0);
  }
}

TEST_F(ExecutionTest, a_comparison_and_a_test_write_nothing) {
  for (const char* code : {"\x39\x07", "\x3b\x07", "\x85\x07", "\x0f\xa3\x07"}) {
    memory.accesses.clear();
    rax = 5;
    EXPECT_EQ(run(code), 0);
    EXPECT_EQ(memory.accesses, std::vector<std::size_t>{4});
    EXPECT_EQ(rax, 5U);
  }
}

TEST_F(ExecutionTest, each_access_has_the_width_of_the_instruction) {
  rax = ~std::uint64_t{0};
  EXPECT_EQ(run("\x66\x09\x07"), 0);
  EXPECT_EQ(memory.accesses, (std::vector<std::size_t>{2, 2}));
  EXPECT_EQ(memory.at<std::uint32_t>(FakeMemory::begin), 0x0000ffffU);
}

TEST_F(ExecutionTest, vectors_are_reached_in_pieces_of_eight) {
  for (std::uint64_t at = 0; at < 32; at += 8)
    memory.put(FakeMemory::begin + at, 0x0101010101010101 * (at + 1));
  cpu.vectors[0].fill(std::byte{0x77});
  EXPECT_EQ(run("\x0f\x10\x07"), 0);
  EXPECT_EQ(memory.accesses, (std::vector<std::size_t>{8, 8}));
  EXPECT_EQ(cpu.vectors[0][15], std::byte{9});
  EXPECT_EQ(cpu.vectors[0][16], std::byte{0x77}) << "an old instruction leaves the upper half";
  EXPECT_EQ(run("\xc5\xf8\x10\x07"), 0);
  EXPECT_EQ(cpu.vectors[0][16], std::byte{0}) << "a new one clears it";
  EXPECT_EQ(run("\xf3\x0f\x10\x07"), 0);
  EXPECT_EQ(cpu.vectors[0][3], std::byte{1});
  EXPECT_EQ(cpu.vectors[0][4], std::byte{0}) << "a scalar clears the rest";
}

TEST_F(ExecutionTest, the_bit_of_a_register_may_lie_elsewhere) {
  rdi = FakeMemory::begin + 64;
  for (const std::int64_t bit : {0, 31, 32, 100, -1, -32, -33}) {
    memory.bytes.assign(4096, 0);
    rax = static_cast<std::uint64_t>(bit);
    EXPECT_EQ(run("\x0f\xab\x07"), 0);
    const std::int64_t at = 64 * 8 + bit;
    EXPECT_EQ(memory.bytes[static_cast<std::size_t>(at / 8)], static_cast<char>(1 << (at % 8))) << bit;
  }
}

TEST_F(ExecutionTest, a_string_goes_both_ways) {
  rsi = FakeMemory::begin;
  rdi = FakeMemory::begin + 100;
  rcx = 3;
  memory.put(rsi, 0x030201);
  EXPECT_EQ(run("\xf3\xa4"), 0);
  EXPECT_EQ(memory.at<std::uint32_t>(FakeMemory::begin + 100), 0x030201U);
  EXPECT_EQ(rcx, 0U);
  EXPECT_EQ(rsi, FakeMemory::begin + 3);
  cpu.flags |= direction_flag;
  rcx = 2;
  rax = 0x99;
  EXPECT_EQ(run("\xf3\xaa"), 0);
  EXPECT_EQ(rdi, FakeMemory::begin + 101);
  EXPECT_EQ(memory.at<std::uint16_t>(FakeMemory::begin + 102), 0x9999);
  rcx = 0;
  EXPECT_EQ(run("\xf3\xaa"), 0);
  EXPECT_EQ(rdi, FakeMemory::begin + 101) << "no time at all";
}

TEST_F(ExecutionTest, a_string_that_fails_stands_before_the_step_that_failed) {
  rdi = FakeMemory::begin + 4096 - 8;
  rcx = 5;
  const std::uint64_t rip = cpu.rip;
  EXPECT_EQ(run("\xf3\xab"), EFAULT);
  EXPECT_EQ(rcx, 3U);
  EXPECT_EQ(rdi, FakeMemory::begin + 4096);
  EXPECT_EQ(cpu.rip, rip);
}

TEST_F(ExecutionTest, a_long_string_goes_on_the_next_time) {
  rdi = FakeMemory::begin;
  rcx = 4096 + 1;
  const std::uint64_t rip = cpu.rip;
  memory.bytes.resize(8192);
  EXPECT_EQ(run("\xf3\xaa"), 0);
  EXPECT_EQ(rcx, 1U);
  EXPECT_EQ(cpu.rip, rip) << "the instruction is not done";
}

TEST_F(ExecutionTest, addresses_add_up) {
  cpu.fs_base = 0x800;
  cpu.general[3] = 0x100;
  cpu.general[1] = 0x40;
  EXPECT_EQ(address_of(*decode(std::as_bytes(std::span("\x64\x8b\x44\x8b\x08", 5))), cpu),
            0x800U + 0x100 + 0x100 + 8);
  EXPECT_EQ(address_of(*decode(std::as_bytes(std::span("\x8b\x05\xf0\xff\xff\xff", 6))), cpu),
            0x400006U - 16);
  cpu.general[3] = 0xffffffff00000010;
  EXPECT_EQ(address_of(*decode(std::as_bytes(std::span("\x67\x8b\x03", 3))), cpu), 0x10U);
}

}  // namespace
}  // namespace umdev::run
