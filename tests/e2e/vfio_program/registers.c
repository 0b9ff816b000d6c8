/* Registers that are mapped: every kind of access that a driver makes of them, each beside the same access to
 * memory, and the faults that are the program's own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/vfio_program/vfio_program.h"

/* Of the DMA engine: 8 bytes that keep what is written, but for their lowest three bits; and the table of
 * MSI-X. */
enum { kept_register = 0x98, table = 0x2000 };
/* CF, PF, ZF, SF, OF. AF means nothing after most of these. */
enum { compared_flags = 0x8c5 };

struct values {
  uint64_t memory, rax, flags;
};

/* `text` with the address in %2 and the value in rax. */
#define OPERATIONS(X)                                                        \
  X("movb %%al, 1(%2)")                                                      \
  X("movb %%ah, 1(%2)")                                                      \
  X("movw %%ax, 2(%2)")                                                      \
  X("movl %%eax, 4(%2)")                                                     \
  X("movq %%rax, (%2)")                                                      \
  X("movb $0x5a, 3(%2)")                                                     \
  X("movw $0x1234, 2(%2)")                                                   \
  X("movl $0x89abcdef, 4(%2)")                                               \
  X("movq $-8, (%2)")                                                        \
  X("movb 1(%2), %%al")                                                      \
  X("movb 1(%2), %%ah")                                                      \
  X("movw 2(%2), %%ax")                                                      \
  X("movl 4(%2), %%eax")                                                     \
  X("movq (%2), %%rax")                                                      \
  X("movzbl 5(%2), %%eax")                                                   \
  X("movzwl 6(%2), %%eax")                                                   \
  X("movzbw 7(%2), %%ax")                                                    \
  X("movzbq 7(%2), %%rax")                                                   \
  X("movsbw 7(%2), %%ax")                                                    \
  X("movsbl 7(%2), %%eax")                                                   \
  X("movsbq 7(%2), %%rax")                                                   \
  X("movswl 6(%2), %%eax")                                                   \
  X("movswq 6(%2), %%rax")                                                   \
  X("movslq 4(%2), %%rax")                                                   \
  X("addl %%eax, 4(%2)")                                                     \
  X("adcl %%eax, 4(%2)")                                                     \
  X("sbbl %%eax, 4(%2)")                                                     \
  X("subl %%eax, 4(%2)")                                                     \
  X("orl %%eax, 4(%2)")                                                      \
  X("andl %%eax, 4(%2)")                                                     \
  X("xorl %%eax, 4(%2)")                                                     \
  X("cmpl %%eax, 4(%2)")                                                     \
  X("testl %%eax, 4(%2)")                                                    \
  X("lock; orl %%eax, 4(%2)")                                                \
  X("addb %%al, 2(%2)")                                                      \
  X("sbbb %%ah, 2(%2)")                                                      \
  X("xorw %%ax, 2(%2)")                                                      \
  X("addq %%rax, (%2)")                                                      \
  X("addl 4(%2), %%eax")                                                     \
  X("subq (%2), %%rax")                                                      \
  X("cmpw 2(%2), %%ax")                                                      \
  X("orb 7(%2), %%ah")                                                       \
  X("adcl $5, 4(%2)")                                                        \
  X("andl $0x0ff00ff0, 4(%2)")                                               \
  X("orw $0x4321, 2(%2)")                                                    \
  X("cmpb $0x7f, 7(%2)")                                                     \
  X("testb $0x81, 7(%2)")                                                    \
  X("testl $0x80000000, 4(%2)")                                              \
  X("notl 4(%2)")                                                            \
  X("negl 4(%2)")                                                            \
  X("incl 4(%2)")                                                            \
  X("decw 2(%2)")                                                            \
  X("incb 3(%2)")                                                            \
  X("btl $7, 4(%2)")                                                         \
  X("btsl $17, 4(%2)")                                                       \
  X("btrl $30, 4(%2)")                                                       \
  X("btcl $31, 4(%2)")                                                       \
  X("xchgl %%eax, 4(%2)")                                                    \
  X("xchgb %%ah, 3(%2)")                                                     \
  X("movnti %%eax, 4(%2)")                                                   \
  X("movq %%rax, %%xmm0; movq %%xmm0, (%2)")                                 \
  X("movd %%eax, %%xmm1; movd %%xmm1, 4(%2)")                                \
  X("movq (%2), %%xmm2; movq %%xmm2, %%rax")                                 \
  X("movd 4(%2), %%xmm9; movd %%xmm9, %%eax")                                \
  X("movss 4(%2), %%xmm3; movd %%xmm3, %%eax")                               \
  X("movsd (%2), %%xmm3; movq %%xmm3, %%rax")                                \
  X("movl $1, %%r10d; movl (%2, %%r10, 4), %%eax")                           \
  X("movq %2, %%r13; movl 4(%%r13), %%eax")                                  \
  X("movq %2, %%r12; movl 4(%%r12), %%eax")                                  \
  X("leaq -0x1000(%2), %%r11; movl 0x1004(%%r11), %%r9d; movl %%r9d, %%eax") \
  X("leaq 4(%2), %%rdi; stosl")                                              \
  X("leaq 2(%2), %%rdi; movl $3, %%ecx; rep stosw")                          \
  X("leaq 4(%2), %%rsi; lodsl")                                              \
  X("leaq 1(%2), %%rsi; movl $5, %%ecx; rep lodsb")

static void finish(void* at, struct values* values, uint64_t rax, uint64_t flags) {
  memcpy(&values->memory, at, sizeof values->memory);
  values->rax = rax;
  values->flags = flags & compared_flags;
}

/* Runs each operation on `at`, of which the first 8 bytes are `memory` before. */
static size_t run_all(volatile uint64_t* at, uint64_t memory, uint64_t rax, struct values* values) {
  size_t count = 0;
#define RUN(text)                                                                                          \
  {                                                                                                        \
    uint64_t a = rax, f;                                                                                   \
    *at = memory;                                                                                          \
    __asm__ volatile("stc\n\t" text "\n\tleaq -128(%%rsp), %%rsp; pushfq; popq %1; leaq 128(%%rsp), %%rsp" \
                     : "+a"(a), "=&b"(f)                                                                   \
                     : "d"(at)                                                                             \
                     : "memory", "cc", "rcx", "rsi", "rdi", "r9", "r10", "r11", "r12", "r13", "xmm0",      \
                       "xmm1", "xmm2", "xmm3", "xmm9");                                                    \
    finish((void*)at, &values[count++], a, f);                                                             \
  }
  OPERATIONS(RUN)
  return count;
}

static const char* const texts[] = {
#define NAME(text) text,
    OPERATIONS(NAME)};
enum { operations = sizeof texts / sizeof *texts };

static void check_operations(volatile uint64_t* kept) {
  static const uint64_t inputs[][2] = {{0, 0x8877665544332211},
                                       {0xfedcba9876543210, 0x00000000deadbeef},
                                       {0xfffffffffffffff8, 1},
                                       {0x7fffffff80000008, 0xffffffff80000008}};
  for (size_t input = 0; input < sizeof inputs / sizeof *inputs; input++) {
    volatile uint64_t memory[1024] = {0};
    struct values expected[operations], found[operations];
    run_all(&memory[520], inputs[input][0], inputs[input][1] & ~7ULL, expected);
    run_all(kept, inputs[input][0], inputs[input][1] & ~7ULL, found);
    for (size_t i = 0; i < operations; i++) {
      expected[i].memory &= ~7ULL;
      if (memcmp(&expected[i], &found[i], sizeof found[i]) == 0) continue;
      printf("%s: memory %lx, rax %lx, flags %lx instead of %lx, %lx, %lx\n", texts[i], found[i].memory,
             found[i].rax, found[i].flags, expected[i].memory, expected[i].rax, expected[i].flags);
      give_up("an access");
    }
  }
}

/* An entry: address, data, and the mask bit, which is set while nobody has turned MSI-X on. */
static char table_byte(int at, int factor) {
  const int place = at % 16;
  if (place >= 12) return place == 12;
  return (char)(factor * at + 4);
}

/* 16 and 32 bytes at once, and a copy by a string instruction. */
static void check_wide(char* bar) {
  char from[32], to[32] = "";
  for (int i = 0; i < 32; i++) from[i] = table_byte(i, 16);
  void* entry = bar + table;
  __asm__ volatile("movups (%0), %%xmm5; movups %%xmm5, (%1); movups 16(%0), %%xmm6; movdqu %%xmm6, 16(%1)"
                   :
                   : "r"(from), "r"(entry)
                   : "memory", "xmm5", "xmm6");
  __asm__ volatile("movdqa (%1), %%xmm7; movups %%xmm7, (%0); movups 16(%1), %%xmm8; movups %%xmm8, 16(%0)"
                   :
                   : "r"(to), "r"(entry)
                   : "memory", "xmm7", "xmm8");
  if (memcmp(from, to, sizeof from) != 0) give_up("a vector");
  memset(to, 0, sizeof to);
  void *target = to, *source = entry;
  unsigned long count = 4;
  __asm__ volatile("rep movsq" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
  if (memcmp(from, to, sizeof from) != 0 || count != 0) give_up("a string move");
  if (!__builtin_cpu_supports("avx")) return;
  for (int i = 0; i < 32; i++) from[i] = table_byte(i, 8);
  __asm__ volatile("vmovdqu (%1), %%ymm4; vmovdqu %%ymm4, (%2); vmovups (%2), %%ymm11; vmovups %%ymm11, (%0)"
                   :
                   : "r"(to), "r"(from), "r"(entry)
                   : "memory", "xmm4", "xmm11");
  if (memcmp(from, to, sizeof from) != 0) give_up("a long vector");
}

static sigjmp_buf back;
static volatile sig_atomic_t caught;
static void* volatile caught_at;

static void catch_it(int number, siginfo_t* info, void* context) {
  (void)context;
  caught = number;
  caught_at = info->si_addr;
  siglongjmp(back, 1);
}

static void expect_signal(int number, void* at, const char* what) {
  if (caught != number || caught_at != at) give_up(what);
  caught = 0;
}

/* The program's handlers are its own. */
static void check_faults(char* bar) {
  struct sigaction action = {.sa_sigaction = catch_it, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  if (sigsetjmp(back, 1) == 0) *(volatile int*)16 = 1;
  expect_signal(SIGSEGV, (void*)16, "a fault of its own");
  int memory = memfd_create("short", MFD_CLOEXEC);
  char* mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memory, 0);
  if (sigsetjmp(back, 1) == 0) (void)*(volatile char*)(mapped + 8);
  expect_signal(SIGBUS, mapped + 8, "a short file of its own");
  /* No driver loads a register into the coprocessor. */
  if (sigsetjmp(back, 1) == 0) __asm__ volatile("fildl %0" : : "m"(*(int*)(bar + kept_register)));
  expect_signal(SIGBUS, bar + kept_register, "an instruction that is not known");
  action = (struct sigaction){.sa_handler = SIG_DFL};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  close(memory);
  munmap(mapped, 4096);
}

static void* read_often(void* argument) {
  volatile uint32_t* at = argument;
  for (int round = 0; round < 300; round++)
    if (*at != 0x12345678) give_up("a load of a thread");
  return NULL;
}

static void check_threads(volatile uint64_t* kept) {
  pthread_t others[4];
  *kept = 0x12345678ULL << 32;
  for (int i = 0; i < 4; i++)
    if (pthread_create(&others[i], NULL, read_often, (char*)kept + 4) != 0) give_up("pthread_create");
  for (int i = 0; i < 4; i++) pthread_join(others[i], NULL);
}

static void check_child(volatile uint64_t* kept) {
  pid_t child = fork();
  if (child == 0) {
    *kept = 0xabcdef00;
    _exit(*kept == 0xabcdef00 ? 7 : 8);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
    give_up("the child");
  if (*kept != 0xabcdef00) give_up("what the child wrote");
  child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char*)NULL);
    _exit(1);
  }
  if (waitpid(child, &status, 0) != child || status != 0) give_up("a program that is no driver");
}

int mapped_registers(const char* group, const char* name) {
  struct files files = open_all(group, name);
  struct vfio_region_info region = region_of(files.device, VFIO_PCI_BAR0_REGION_INDEX);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) give_up("the registers cannot be mapped");
  void* place = mmap(NULL, region.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* bar = mmap(place, region.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files.device,
                   (off_t)region.offset);
  if (bar != place) give_up("mmap");
  volatile uint64_t* kept = (volatile uint64_t*)(bar + kept_register);
  check_operations(kept);
  check_wide(bar);
  check_faults(bar);
  check_threads(kept);
  check_child(kept);
  /* By the descriptor it is the same register. */
  uint64_t value = 0x1122334455667788;
  *kept = value;
  value = 0;
  if (pread(files.device, &value, sizeof value, (off_t)region.offset + kept_register) != sizeof value ||
      value != 0x1122334455667788)
    give_up("pread of a register");
  char* other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, files.device, (off_t)region.offset + table);
  if (other == MAP_FAILED || *(volatile uint32_t*)other != *(volatile uint32_t*)(bar + table))
    give_up("a second mapping");
  munmap(bar, 4096);
  if (mmap(bar, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != bar ||
      *kept != 0)
    give_up("memory in the place of registers");
  munmap(bar, region.size);
  close_all(files);
  struct sigaction action = {.sa_sigaction = catch_it, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  /* The end of a file is told behind its close(). */
  for (int attempt = 0; attempt < 5000 && sigsetjmp(back, 1) == 0; ++attempt) {
    (void)*(volatile uint32_t*)other;
    usleep(1000);
  }
  expect_signal(SIGBUS, other, "a register of a device that is closed");
  return 0;
}
