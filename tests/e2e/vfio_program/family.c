/* One open device in several processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/vfio_program/vfio_program.h"

static void check(int device) {
  struct vfio_device_info info = {.argsz = sizeof info};
  if (ioctl(device, VFIO_DEVICE_GET_INFO, &info) != 0 || info.num_regions == 0)
    give_up("GET_INFO of another process");
}

int heir(int device) {
  check(device);
  return 0;
}

static void await(pid_t child, const char* what) {
  int status;
  errno = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) give_up(what);
}

union control {
  struct cmsghdr header;
  char room[CMSG_SPACE(sizeof(int))];
};

static void send_or_receive(int socket, int* fd, int receives) {
  char byte = 0;
  union control control;
  struct iovec piece = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control};
  if (!receives) {
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), fd, sizeof *fd);
  }
  if ((receives ? recvmsg(socket, &message, 0) : sendmsg(socket, &message, 0)) != 1) give_up("SCM_RIGHTS");
  if (receives) memcpy(fd, CMSG_DATA(&control.header), sizeof *fd);
}

int family(const char* group, const char* name, const char* program) {
  struct files files = open_all(group, name);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) give_up("socketpair");
  /* Not a child's that was there when the device was opened: it gets the descriptor sent. */
  pid_t receiver = fork();
  if (receiver == 0) {
    close_all(files);
    int device;
    send_or_receive(ends[1], &device, 1);
    check(device);
    _exit(0);
  }
  send_or_receive(ends[0], &files.device, 0);
  await(receiver, "the receiver");

  pid_t child = fork();
  if (child == 0) {
    check(files.device);
    _exit(0);
  }
  await(child, "the child");

  int inherited = dup(files.device);
  char number[16];
  snprintf(number, sizeof number, "%d", inherited);
  child = fork();
  if (child == 0) {
    execl(program, program, group, name, "heir", number, (char*)NULL);
    _exit(127);
  }
  await(child, "the heir");

  /* The last descriptor closes it, wherever that is. */
  child = fork();
  if (child == 0) {
    close_range(3, (unsigned)inherited - 1, 0);
    check(inherited);
    close_range(3, ~0U, 0);
    _exit(0);
  }
  close_range(3, ~0U, 0);
  await(child, "the last one");
  close_all(open_all(group, name));
  return 0;
}
