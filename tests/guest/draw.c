/* Runs in the guest: draws a picture in which every pixel says where it is, and reads it back.
 *
 *   draw frame /dev/fb0   by the frame buffer of whatever driver has the display
 *   draw bar FUNCTION     into BAR 0 of a PCI function that no driver has, a folder of /sys/bus/pci/devices;
 *                         its vendor capability says the format and the size
 *
 * Prints width, height and bytes a line. The pixel at a column and a row is, from the lowest byte on: the low
 * bits of the column, the low bits of the row, the high bits of both, and zero;
 * tests/module/guest_display_test.py has it too.
 */
#include <fcntl.h>
#include <linux/fb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { capabilities_pointer = 0x34, vendor_specific = 9, command = 4, memory_decoded = 2 };

struct display {
  uint32_t width, height, stride;
};

static void give_up(const char* what) {
  perror(what);
  exit(2);
}

static void need(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  exit(2);
}

static uint32_t pixel_at(uint32_t column, uint32_t row) {
  return (column & 0xff) | (row & 0xff) << 8 | (column >> 8) << 20 | (row >> 8) << 16;
}

static void check(uint32_t seen, uint32_t column, uint32_t row) {
  if (seen == pixel_at(column, row)) return;
  fprintf(stderr, "the pixel at %u, %u reads 0x%08x\n", column, row, seen);
  exit(1);
}

/* In memory that is mapped: where a driver copies it to the screen, it notices pages that were written. */
static void draw(int file, struct display display) {
  size_t size = (size_t)display.height * display.stride;
  volatile uint32_t* pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (pixels == MAP_FAILED) give_up("mmap");
  uint32_t line = display.stride / sizeof *pixels;
  for (uint32_t row = 0; row < display.height; row++)
    for (uint32_t column = 0; column < display.width; column++)
      pixels[row * line + column] = pixel_at(column, row);
  for (uint32_t row = 0; row < display.height; row++)
    for (uint32_t column = 0; column < display.width; column++)
      check(pixels[row * line + column], column, row);
  munmap((void*)pixels, size);
}

/* --- by a driver */

static struct display draw_frame(const char* path) {
  struct fb_var_screeninfo shown;
  struct fb_fix_screeninfo fixed;
  int frame = open(path, O_RDWR);
  if (frame < 0 || ioctl(frame, FBIOGET_VSCREENINFO, &shown) < 0 ||
      ioctl(frame, FBIOGET_FSCREENINFO, &fixed) < 0)
    give_up(path);
  need(shown.bits_per_pixel == 32 && shown.red.offset == 16 && shown.green.offset == 8 &&
           shown.blue.offset == 0,
       "the frame buffer is not XRGB8888");
  struct display display = {shown.xres, shown.yres, fixed.line_length};
  draw(frame, display);
  close(frame);
  return display;
}

/* --- by hand */

static int open_in(const char* function, const char* name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", function, name);
  int file = open(path, O_RDWR);
  if (file < 0) give_up(path);
  return file;
}

static struct display describe(const char* function) {
  int config = open_in(function, "config");
  uint8_t at = 0;
  struct {
    uint8_t id, next, size, reserved;
    uint32_t format, width, height;
  } capability;
  if (pread(config, &at, 1, capabilities_pointer) != 1 ||
      pread(config, &capability, sizeof capability, at) != (ssize_t)sizeof capability)
    give_up("config");
  need(capability.id == vendor_specific && capability.size == sizeof capability &&
           memcmp(&capability.format, "XR24", 4) == 0,
       "the vendor capability describes no XRGB8888");
  uint16_t decoded = memory_decoded;
  if (pwrite(config, &decoded, sizeof decoded, command) != (ssize_t)sizeof decoded) give_up("config");
  close(config);
  return (struct display){capability.width, capability.height, capability.width * 4};
}

static struct display draw_bar(const char* function) {
  struct display display = describe(function);
  int bar = open_in(function, "resource0");
  draw(bar, display);
  close(bar);
  return display;
}

int main(int count, char** words) {
  need(count == 3 && (strcmp(words[1], "frame") == 0 || strcmp(words[1], "bar") == 0),
       "usage: draw frame FILE | draw bar FUNCTION");
  struct display display = strcmp(words[1], "frame") == 0 ? draw_frame(words[2]) : draw_bar(words[2]);
  printf("%u %u %u\n", display.width, display.height, display.stride);
  return 0;
}
