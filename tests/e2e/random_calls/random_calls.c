/* System calls by chance on the nodes of VFIO: commands with every kind of pointer, reads, writes and
 * mappings, while descriptors are duplicated, closed, and inherited by children that die at any moment. What
 * they answer nobody looks at: whoever serves them must stay whole.
 *
 *   random_calls SEED CALLS GROUP DEVICE CDEV
 *
 * The same seed makes the same calls, but for what a second thread does to some memory meanwhile. */
#define _GNU_SOURCE
#include "tests/e2e/random_calls/random_calls.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { fds_max = 48, call_seconds = 60, child_calls = 8 };

static int fds[fds_max];
static unsigned fd_count;

void keep_fd(long fd) {
  if (fd < 0) return;
  if (fd_count == fds_max) {
    const unsigned gone = pick(fds_max);
    close(fds[gone]);
    fds[gone] = (int)fd;
    return;
  }
  fds[fd_count++] = (int)fd;
}

int some_fd(void) {
  if (seldom(24)) return (int)some_number();
  return fd_count == 0 ? -1 : fds[pick(fd_count)];
}

void close_something(void) {
  if (fd_count == 0) return;
  const unsigned index = pick(fd_count);
  close(fds[index]);
  fds[index] = fds[--fd_count];
}

static long open_node(const char* path) {
  return open(path, O_RDWR | O_CLOEXEC);
}

static long open_group(const struct names* names) {
  char path[64];
  snprintf(path, sizeof path, "/dev/vfio/%s", names->group);
  return open_node(path);
}

void open_something(const struct names* names) {
  switch (pick(6)) {
    case 0:
      return keep_fd(open_node("/dev/vfio/vfio"));
    case 1:
      return keep_fd(open_group(names));
    case 2:
      return keep_fd(open_node(names->cdev));
    case 3:
      return keep_fd(open_node("/dev/iommu"));
    case 4:
      return keep_fd(eventfd(0, EFD_CLOEXEC | (seldom(2) ? EFD_NONBLOCK : 0)));
    default:
      return open_device(names);
  }
}

void open_device(const struct names* names) {
  const long container = open_node("/dev/vfio/vfio"), group = open_group(names);
  keep_fd(container);
  keep_fd(group);
  if (container < 0 || group < 0) return;
  const int fd = (int)container;
  ioctl((int)group, VFIO_GROUP_SET_CONTAINER, &fd);
  ioctl(fd, VFIO_SET_IOMMU, pick(2) == 0 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU);
  keep_fd(ioctl((int)group, VFIO_GROUP_GET_DEVICE_FD, names->device));
}

/* Where regions are, and everywhere else. */
static off_t some_offset(void) {
  if (seldom(4)) return (off_t)some_number();
  return (off_t)(((uint64_t)pick(10) << 40) + (seldom(2) ? some_number() : pick(512)));
}

static void access_something(void) {
  static const size_t sizes[] = {1, 2, 4, 8, 3, 64, 4096, 65536};
  const size_t size = sizes[pick(sizeof sizes / sizeof *sizes)];
  if (pick(2) == 0)
    (void)!pread(some_fd(), some_argument(size), size, some_offset());
  else
    (void)!pwrite(some_fd(), some_argument(size), size, some_offset());
}

static void map_something(void) {
  const size_t size = 4096u << pick(4);
  const int protection = seldom(2) ? PROT_READ : PROT_READ | PROT_WRITE;
  char* memory =
      mmap(NULL, size, protection, seldom(4) ? MAP_PRIVATE : MAP_SHARED, some_fd(), some_offset() & ~4095L);
  if (memory == MAP_FAILED) return;
  if (seldom(4)) mprotect(memory, size, PROT_NONE);
  munmap(memory, size);
}

static void duplicate_something(void) {
  const int fd = some_fd();
  switch (pick(3)) {
    case 0:
      return keep_fd(dup(fd));
    case 1:
      return keep_fd(fcntl(fd, F_DUPFD_CLOEXEC, 100));
    default: {
      /* Sent to nobody: it goes with the sockets, or with the message. */
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
      char byte = 0, space[CMSG_SPACE(sizeof fd)] = {0};
      struct iovec data = {&byte, 1};
      struct msghdr message = {
          .msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
      struct cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof fd);
      memcpy(CMSG_DATA(head), &fd, sizeof fd);
      sendmsg(ends[0], &message, MSG_DONTWAIT);
      close(ends[0]);
      close(ends[1]);
    }
  }
}

static void step(const struct names* names, int may_fork);

/* A child that makes some calls of its own, and ends in the middle of one, now and then. */
static void fork_something(const struct names* names) {
  const uint64_t seed = chance();
  const pid_t child = fork();
  if (child == 0) {
    seed_chance(seed);
    alarm(call_seconds);
    for (int i = 0; i < child_calls; ++i) step(names, 0);
    _exit(0);
  }
  if (child < 0) return;
  if (seldom(2)) {
    usleep(pick(500));
    kill(child, SIGKILL);
  }
  waitpid(child, NULL, 0);
}

static void step(const struct names* names, int may_fork) {
  const unsigned what = pick(100);
  if (what < 6) return open_something(names);
  if (what < 11) return close_something();
  if (what < 15) return duplicate_something();
  if (what < 17 && may_fork) return fork_something(names);
  if (what < 32) return access_something();
  if (what < 36) return map_something();
  call_something(names);
}

int main(int count, char** words) {
  if (count != 6) return 2;
  const struct names names = {.group = words[3], .device = words[4], .cdev = words[5]};
  const uint64_t seed = strtoull(words[1], NULL, 0);
  const long calls = strtol(words[2], NULL, 0);
  signal(SIGPIPE, SIG_IGN);
  /* The standard descriptors are written to as well, at any offset: they are nobody's file. */
  const int null = open("/dev/null", O_RDWR);
  for (int standard = 0; standard < 3; ++standard)
    if (null < 0 || dup2(null, standard) != standard) return 3;
  make_memory();
  seed_chance(seed);
  open_device(&names);
  for (long i = 0; i < calls; ++i) {
    alarm(call_seconds); /* a call that hangs ends the program */
    step(&names, 1);
  }
  return 0;
}
