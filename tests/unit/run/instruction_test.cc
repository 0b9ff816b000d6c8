// What instructions do, by their code: each beside what an assembler writes for it.
#include "umdev/run/instruction.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace umdev::run {
namespace {

ConstBytes bytes_of(const std::string& code) {
  return std::as_bytes(std::span(code));
}

// The bytes in hexadecimal digits.
std::string code_of(std::string_view digits) {
  std::string code;
  for (std::size_t at = 0; at + 1 < digits.size(); at += 2)
    code.push_back(static_cast<char>(std::stoi(std::string(digits.substr(at, 2)), nullptr, 16)));
  return code;
}

std::string text_of(const Place& place) {
  std::string text;
  if (place.segment != Place::Segment::flat) text += place.segment == Place::Segment::fs ? "fs:" : "gs:";
  if (place.from_next_instruction) text += "next+";
  if (place.base != Place::none) text += fmt::format("r{}+", place.base);
  if (place.index != Place::none) text += fmt::format("r{}*{}+", place.index, 1U << place.scale);
  return text + fmt::format("{:#x}{}", place.displacement, place.short_addresses ? " short" : "");
}

// All that decides what is done, in one line.
std::string text_of(const Instruction& instruction) {
  constexpr std::array operations{"load",        "store",       "exchange",    "modify",
                                  "accumulate",  "compare",     "load_vector", "store_vector",
                                  "move_string", "fill_string", "load_string"};
  constexpr std::array arithmetics{"add", "or",  "adc", "sbb", "and", "sub", "xor", "cmp",
                                   "bt",  "bts", "btr", "btc", "inc", "dec", "not", "neg"};
  std::string text = operations.at(static_cast<std::size_t>(instruction.operation));
  const Operation operation = instruction.operation;
  if (operation == Operation::modify || operation == Operation::accumulate || operation == Operation::compare)
    text += fmt::format(" {}", arithmetics.at(static_cast<std::size_t>(instruction.arithmetic)));
  text += fmt::format(" {} at {}", instruction.width, text_of(instruction.place));
  if (instruction.has_immediate)
    text += fmt::format(" number {:#x}", instruction.immediate);
  else
    text += fmt::format(" r{}{}", instruction.reg, instruction.second_byte ? "h" : "");
  if (operation == Operation::load) text += fmt::format("/{}", instruction.register_width);
  if (instruction.sign_extends) text += " signed";
  if (instruction.swaps_bytes) text += " swapped";
  if (instruction.bit_in_register) text += " bit";
  if (instruction.clears_upper) text += " clearing";
  if (instruction.repeats) text += " repeated";
  return text;
}

struct Row {
  const char* assembler;
  const char* code;
  const char* meaning;
};

const std::vector<Row> rows{
    {"mov %eax,(%rdi)", "8907", "store 4 at r7+0x0 r0"},
    {"mov %rax,0x10(%rbx)", "48894310", "store 8 at r3+0x10 r0"},
    {"mov %ax,(%rdi)", "668907", "store 2 at r7+0x0 r0"},
    {"mov %ah,(%rdi)", "8827", "store 1 at r7+0x0 r0h"},
    {"mov %sil,(%rdi)", "408837", "store 1 at r7+0x0 r6"},
    {"mov %r9b,-8(%r13)", "45884df8", "store 1 at r13+-0x8 r9"},
    {"mov (%rsp),%ecx", "8b0c24", "load 4 at r4+0x0 r1/4"},
    {"mov 0x98(%rip),%r8", "4c8b0598000000", "load 8 at next+0x98 r8/8"},
    {"mov (%r12,%r15,8),%edx", "438b14fc", "load 4 at r12+r15*8+0x0 r2/4"},
    {"mov 0x1234(,%rbp,4),%al", "8a04ad34120000", "load 1 at r5*4+0x1234 r0/1"},
    {"mov %fs:0x28,%rax", "64488b042528000000", "load 8 at fs:0x28 r0/8"},
    {"mov %gs:(%rax),%ebx", "658b18", "load 4 at gs:r0+0x0 r3/4"},
    {"mov (%edi),%eax", "678b07", "load 4 at r7+0x0 short r0/4"},
    {"movl $0x12345678,4(%rdi)", "c7470478563412", "store 4 at r7+0x4 number 0x12345678"},
    {"movq $-8,(%rdi)", "48c707f8ffffff", "store 8 at r7+0x0 number 0xfffffffffffffff8"},
    {"movw $0x1234,(%rdi)", "66c7073412", "store 2 at r7+0x0 number 0x1234"},
    {"movb $1,0x40(%rip)", "c6054000000001", "store 1 at next+0x40 number 0x1"},
    {"movzbl (%rax),%eax", "0fb600", "load 1 at r0+0x0 r0/4"},
    {"movzwl 2(%rax),%r9d", "440fb74802", "load 2 at r0+0x2 r9/4"},
    {"movsbw (%rax),%cx", "660fbe08", "load 1 at r0+0x0 r1/2 signed"},
    {"movswq (%rax),%rcx", "480fbf08", "load 2 at r0+0x0 r1/8 signed"},
    {"movslq (%rax),%rcx", "486308", "load 4 at r0+0x0 r1/8 signed"},
    {"movbe (%rdi),%eax", "0f38f007", "load 4 at r7+0x0 r0/4 swapped"},
    {"movbe %rax,(%rdi)", "480f38f107", "store 8 at r7+0x0 r0 swapped"},
    {"movnti %eax,(%rdi)", "0fc307", "store 4 at r7+0x0 r0"},
    {"xchg %eax,(%rdi)", "8707", "exchange 4 at r7+0x0 r0"},
    {"or %eax,(%rdi)", "0907", "modify or 4 at r7+0x0 r0"},
    {"lock or %eax,(%rdi)", "f00907", "modify or 4 at r7+0x0 r0"},
    {"and (%rdi),%rax", "482307", "accumulate and 8 at r7+0x0 r0"},
    {"cmp %al,(%rdi)", "3807", "compare cmp 1 at r7+0x0 r0"},
    {"cmp (%rdi),%ax", "663b07", "accumulate cmp 2 at r7+0x0 r0"},
    {"andl $0xff00ff,(%rdi)", "8127ff00ff00", "modify and 4 at r7+0x0 number 0xff00ff"},
    {"orl $-2,8(%rdi)", "834f08fe", "modify or 4 at r7+0x8 number 0xfffffffffffffffe"},
    {"cmpl $0,(%rdi)", "833f00", "compare cmp 4 at r7+0x0 number 0x0"},
    {"cmpb $5,(%rdi)", "803f05", "compare cmp 1 at r7+0x0 number 0x5"},
    {"xorw $0x8000,(%rdi)", "6681370080", "modify xor 2 at r7+0x0 number 0xffffffffffff8000"},
    {"test %eax,(%rdi)", "8507", "compare and 4 at r7+0x0 r0"},
    {"testb $1,(%rdi)", "f60701", "compare and 1 at r7+0x0 number 0x1"},
    {"testl $1,(%rdi)", "f70701000000", "compare and 4 at r7+0x0 number 0x1"},
    {"notl (%rdi)", "f717", "modify not 4 at r7+0x0 r0"},
    {"negb (%rdi)", "f61f", "modify neg 1 at r7+0x0 r0"},
    {"incq (%rdi)", "48ff07", "modify inc 8 at r7+0x0 r0"},
    {"decb (%rdi)", "fe0f", "modify dec 1 at r7+0x0 r0"},
    {"btsl $3,(%rdi)", "0fba2f03", "modify bts 4 at r7+0x0 number 0x3"},
    {"btl $31,(%rdi)", "0fba271f", "compare bt 4 at r7+0x0 number 0x1f"},
    {"btc %rax,(%rdi)", "480fbb07", "modify btc 8 at r7+0x0 r0 bit"},
    {"movsl", "a5", "move_string 4 at 0x0 r0"},
    {"rep movsb", "f3a4", "move_string 1 at 0x0 r0 repeated"},
    {"rep stosq", "f348ab", "fill_string 8 at 0x0 r0 repeated"},
    {"lodsw", "66ad", "load_string 2 at 0x0 r0"},
    {"movups (%rdi),%xmm1", "0f100f", "load_vector 16 at r7+0x0 r1"},
    {"movaps %xmm9,(%rdi)", "440f290f", "store_vector 16 at r7+0x0 r9"},
    {"movdqu %xmm0,0x10(%rdi)", "f30f7f4710", "store_vector 16 at r7+0x10 r0"},
    {"movdqa (%rdi),%xmm0", "660f6f07", "load_vector 16 at r7+0x0 r0"},
    {"movntdq %xmm0,(%rdi)", "660fe707", "store_vector 16 at r7+0x0 r0"},
    {"movss (%rdi),%xmm0", "f30f1007", "load_vector 4 at r7+0x0 r0"},
    {"movsd %xmm0,(%rdi)", "f20f1107", "store_vector 8 at r7+0x0 r0"},
    {"movq %xmm0,(%rdi)", "660fd607", "store_vector 8 at r7+0x0 r0"},
    {"movq (%rdi),%xmm0", "f30f7e07", "load_vector 8 at r7+0x0 r0"},
    {"movd %xmm0,(%rdi)", "660f7e07", "store_vector 4 at r7+0x0 r0"},
    {"vmovdqu (%rdi),%ymm0", "c5fe6f07", "load_vector 32 at r7+0x0 r0 clearing"},
    {"vmovdqu %xmm8,(%rdi)", "c57a7f07", "store_vector 16 at r7+0x0 r8 clearing"},
    {"vmovups %ymm1,(%r8)", "c4c17c1108", "store_vector 32 at r8+0x0 r1 clearing"},
    {"vmovd (%rdi),%xmm0", "c5f96e07", "load_vector 4 at r7+0x0 r0 clearing"},
};

TEST(Instruction, each_means_what_the_assembler_meant) {
  for (const Row& row : rows) {
    const std::string code = code_of(row.code);
    // What comes behind does not matter.
    for (const std::string& behind : {std::string(), std::string("\x0f\xff\xf3\x90", 4)}) {
      const auto instruction = decode(bytes_of(code + behind));
      ASSERT_TRUE(instruction) << row.assembler;
      EXPECT_EQ(text_of(*instruction), row.meaning) << row.assembler;
      EXPECT_EQ(instruction->length, code.size()) << row.assembler;
    }
  }
}

TEST(Instruction, one_that_is_cut_short_is_told_apart) {
  for (const Row& row : rows) {
    const std::string code = code_of(row.code);
    for (std::size_t size = 0; size < code.size(); ++size)
      EXPECT_EQ(decode(bytes_of(code.substr(0, size))).error().code, ENODATA) << row.assembler << ' ' << size;
  }
  EXPECT_EQ(decode(bytes_of(std::string(20, '\x66'))).error().code, ENODATA) << "longer than any instruction";
}

TEST(Instruction, what_reaches_no_memory_or_is_not_known_is_refused) {
  for (const Row& row : std::vector<Row>{{"mov %eax,%ecx", "89c1", ""},
                                         {"movups %xmm0,%xmm1", "0f10c8", ""},
                                         {"nop", "90", ""},
                                         {"ud2", "0f0b", ""},
                                         {"fildl (%rdi)", "db07", ""},
                                         {"call *(%rdi)", "ff17", ""},
                                         {"push (%rdi)", "ff37", ""},
                                         {"mull (%rdi)", "f727", ""},
                                         {"cmpxchg %ecx,(%rdi)", "0fb10f", ""},
                                         {"rep movsb %fs:", "64f3a4", ""},
                                         {"mov $, /1", "c70f01020304", ""},
                                         {"crc32b (%rdi),%eax", "f20f38f007", ""},
                                         {"movntps with f3", "f30f2b07", ""},
                                         {"vaddps (%rdi),%ymm0,%ymm0", "c5fc5807", ""},
                                         {"vmovss with a second source", "c5821007", ""},
                                         {"a map that is not known", "c4e27c1007", ""}})
    EXPECT_EQ(decode(bytes_of(code_of(row.code) + std::string(8, '\0'))).error().code, EILSEQ)
        << row.assembler;
}

}  // namespace
}  // namespace umdev::run
