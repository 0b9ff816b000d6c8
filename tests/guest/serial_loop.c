/*
 * Sends a pattern to a serial port whose device loops it back, and compares every byte.
 *
 *   serial_loop PORT BYTES CHUNK SEED MILLISECONDS [rtscts]
 *
 * Each chunk is read back whole before the next one is sent: with chunks no larger than the device's FIFO
 * nothing can overrun, however slow the reader is. MILLISECONDS is how long a chunk may take. Prints one line
 * of result.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { max_chunk = 4096, quiet_milliseconds = 50 };

struct totals {
  unsigned long sent;
  unsigned long received;
};

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* xorshift32: no short period, so that a lost, doubled or swapped byte cannot pass for another. */
static uint8_t next_byte(uint32_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return (uint8_t)(*state >> 24);
}

static int open_raw(const char* port, int with_flow_control) {
  int fd = open(port, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  struct termios settings;
  if (tcgetattr(fd, &settings) != 0) return -1;
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  settings.c_cflag &= ~(tcflag_t)(CRTSCTS | HUPCL | CSTOPB);
  if (with_flow_control) settings.c_cflag |= CRTSCTS;
  cfsetspeed(&settings, B115200);
  if (tcsetattr(fd, TCSANOW, &settings) != 0 || tcflush(fd, TCIOFLUSH) != 0) return -1;
  return fd;
}

/* Sends one chunk and takes it back. Returns 0, or -1 after saying what was wrong. */
static int loop_chunk(int fd, const uint8_t* out, size_t size, long patience, struct totals* totals) {
  uint8_t in[max_chunk];
  size_t written = 0, taken = 0;
  long deadline = now_ms() + patience;
  while (taken < size) {
    struct pollfd wait = {.fd = fd, .events = (short)(POLLIN | (written < size ? POLLOUT : 0))};
    long left = deadline - now_ms();
    if (left <= 0 || poll(&wait, 1, (int)left) == 0) {
      printf("nothing came back for %ld ms: sent %lu, received %lu bytes\n", patience, totals->sent,
             totals->received);
      return -1;
    }
    if (wait.revents & POLLOUT) {
      ssize_t count = write(fd, out + written, size - written);
      if (count < 0 && errno != EAGAIN) return printf("write: %s\n", strerror(errno)), -1;
      if (count > 0) written += (size_t)count, totals->sent += (unsigned long)count;
    }
    if (wait.revents & POLLIN) {
      ssize_t count = read(fd, in + taken, size - taken);
      if (count < 0 && errno != EAGAIN) return printf("read: %s\n", strerror(errno)), -1;
      for (ssize_t i = 0; i < count; i++, taken++, totals->received++)
        if (in[taken] != out[taken])
          return printf("byte %lu: sent 0x%02x, received 0x%02x\n", totals->received, out[taken], in[taken]),
                 -1;
    } else if (wait.revents & (POLLERR | POLLHUP | POLLNVAL)) {
      return printf("the port hung up\n"), -1;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 6) return printf("usage: serial_loop PORT BYTES CHUNK SEED MILLISECONDS [rtscts]\n"), 2;
  unsigned long bytes = strtoul(argv[2], NULL, 0), chunk = strtoul(argv[3], NULL, 0);
  uint32_t state = (uint32_t)strtoul(argv[4], NULL, 0) * 2654435761u + 1;
  long patience = strtol(argv[5], NULL, 0);
  if (bytes == 0 || chunk == 0 || chunk > max_chunk || patience <= 0 || state == 0)
    return printf("bad number\n"), 2;

  int fd = open_raw(argv[1], argc > 6 && strcmp(argv[6], "rtscts") == 0);
  if (fd < 0) return printf("%s: %s\n", argv[1], strerror(errno)), 1;
  struct totals totals = {0, 0};
  long begin = now_ms();
  while (totals.sent < bytes) {
    uint8_t out[max_chunk];
    size_t size = bytes - totals.sent < chunk ? bytes - totals.sent : chunk;
    for (size_t i = 0; i < size; i++) out[i] = next_byte(&state);
    if (loop_chunk(fd, out, size, patience, &totals) != 0) return 1;
  }
  long end = now_ms();
  struct pollfd extra = {.fd = fd, .events = POLLIN};
  if (poll(&extra, 1, quiet_milliseconds) > 0) return printf("more came back than was sent\n"), 1;
  printf("sent %lu bytes, received %lu bytes, all equal, in %ld ms\n", totals.sent, totals.received,
         end - begin);
  return 0;
}
