/* Runs in the guest, as root: lets a DMA engine that no driver holds copy and fill pages, by its registers,
 * and looks at every byte.
 *
 *   dma_copy FUNCTION CHANNELS copied|refused
 *
 * FUNCTION is a folder of /sys/bus/pci/devices. With `refused` an IOMMU stands between the engine and the
 * memory: then not even the first descriptor may be read, nor the completion of that error be written. Prints
 * a line for each channel.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { page = 4096, descriptors = 32, pages = 2 + 2 * descriptors };
enum { control_completion = 8, operation_fill = 1 << 24 };
enum { active = 0, done = 1, halted = 3, patience_ms = 10000 };

struct descriptor {
  uint32_t size, control;
  uint64_t source, destination, next, rest[4];
};

static uint8_t* memory;
static uint64_t physical[pages];

static void give_up(const char* what) {
  perror(what);
  exit(2);
}

static uint8_t* page_at(int index) {
  return memory + (size_t)index * page;
}

/* Pages that stay where they are, and where that is. */
static void take_memory(void) {
  memory = mmap(NULL, (size_t)pages * page, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
  int map = open("/proc/self/pagemap", O_RDONLY);
  if (memory == MAP_FAILED || map < 0) give_up("memory");
  for (int i = 0; i < pages; i++) {
    uint64_t entry;
    if (pread(map, &entry, sizeof entry, (off_t)((uintptr_t)page_at(i) / page * sizeof entry)) !=
        sizeof entry)
      give_up("pagemap");
    physical[i] = (entry & ((1ULL << 55) - 1)) * page;
  }
  close(map);
}

static volatile uint8_t* open_engine(const char* function) {
  char path[256];
  snprintf(path, sizeof path, "%s/config", function);
  int config = open(path, O_RDWR);
  uint16_t memory_and_bus_master = 0x0006;
  if (config < 0 || pwrite(config, &memory_and_bus_master, 2, 4) != 2) give_up(path);
  snprintf(path, sizeof path, "%s/resource0", function);
  int resource = open(path, O_RDWR | O_SYNC);
  void* registers =
      resource < 0 ? MAP_FAILED : mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
  if (registers == MAP_FAILED) give_up(path);
  return registers;
}

static int milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static uint64_t status_of(volatile uint8_t* channel) {
  return *(volatile uint64_t*)(channel + 0x08);
}

/* Page 0 is the ring, page 1 the completion's; then sources, then destinations. Every second descriptor
 * fills. */
static void prepare(int channel) {
  struct descriptor* ring = (struct descriptor*)page_at(0);
  memset(memory, 0, (size_t)pages * page);
  for (int i = 0; i < descriptors; i++) {
    for (int at = 0; at < page; at++) page_at(2 + i)[at] = (uint8_t)(at * 7 + i * 13 + channel);
    ring[i] = (struct descriptor){
        .size = (uint32_t)(page - i),
        .control = control_completion | (i % 2 ? operation_fill : 0),
        .source = i % 2 ? 0x0807060504030201ULL * (uint64_t)(i + 1) : physical[2 + i],
        .destination = physical[2 + descriptors + i],
        .next = physical[0] + (uint64_t)((i + 1) % descriptors) * sizeof *ring,
    };
  }
}

static int wrong_bytes(void) {
  int wrong = 0;
  for (int i = 0; i < descriptors; i++)
    for (int at = 0; at < page; at++) {
      const struct descriptor* descriptor = (struct descriptor*)page_at(0) + i;
      uint8_t expected = i % 2 ? (uint8_t)(descriptor->source >> at % 8 * 8) : page_at(2 + i)[at];
      if (at >= page - i) expected = 0;
      wrong += page_at(2 + descriptors + i)[at] != expected;
    }
  return wrong;
}

static int try_channel(volatile uint8_t* registers, int number, int refused) {
  volatile uint8_t* channel = registers + 0x80 * (number + 1);
  prepare(number);
  channel[0x04] = 0x20; /* reset */
  int begin = milliseconds();
  while ((channel[0x04] & 0x20) && milliseconds() - begin < patience_ms) usleep(1000);
  *(volatile uint64_t*)(channel + 0x18) = physical[1];
  *(volatile uint16_t*)channel = 0x1c;
  *(volatile uint64_t*)(channel + 0x10) = physical[0];
  *(volatile uint16_t*)(channel + 0x06) = descriptors;
  uint64_t status;
  while (((status = status_of(channel)) & 7) == active && milliseconds() - begin < patience_ms) usleep(1000);
  uint32_t error = *(volatile uint32_t*)(channel + 0x28);
  int wrong = wrong_bytes();
  printf("@@STEP dma channel %d status %d error 0x%x wrong %d in %d ms\n", number, (int)(status & 7), error,
         wrong, milliseconds() - begin);
  if (refused) return (status & 7) == halted && error == 0x1100 && *(uint64_t*)page_at(1) == 0;
  uint64_t last = physical[0] + (descriptors - 1) * sizeof(struct descriptor);
  return status == (last | done) && *(volatile uint64_t*)page_at(1) == status && error == 0 && wrong == 0;
}

int main(int count, char** arguments) {
  if (count != 4) return 2;
  take_memory();
  volatile uint8_t* registers = open_engine(arguments[1]);
  int bad = 0;
  for (int channel = 0; channel < atoi(arguments[2]); channel++)
    if (!try_channel(registers, channel, strcmp(arguments[3], "refused") == 0)) {
      printf("@@FAIL DMA channel %d\n", channel);
      bad = 1;
    }
  return bad;
}
