#include "tests/integration/sysfs/tree_client/client.h"

int failures;
char content[8192];

void check(int line, const char* what, bool holds) {
  if (holds) return;
  fprintf(stderr, "%d: not so: %s (errno: %s)\n", line, what, strerror(errno));
  ++failures;
}

void expect_equal(int line, const char* what, long expected, long got) {
  if (expected == got) return;
  fprintf(stderr, "%d: %s: expected %ld, got %ld (%s)\n", line, what, expected, got, strerror(abs((int)got)));
  ++failures;
}

void expect_text(int line, const char* path, const char* expected, const char* got) {
  if (strcmp(expected, got) == 0) return;
  fprintf(stderr, "%d: %s: expected \"%s\", got \"%s\"\n", line, path, expected, got);
  ++failures;
}

void expect_node(int line, const char* path, mode_t mode, off_t size) {
  struct stat info;
  if (lstat(path, &info) != 0) {
    fprintf(stderr, "%d: %s: %s\n", line, path, strerror(errno));
    ++failures;
    return;
  }
  if (info.st_mode == mode && info.st_size == size && info.st_uid == 0 && info.st_gid == 0) return;
  fprintf(stderr, "%d: %s: mode %o, size %ld, owner %u:%u\n", line, path, info.st_mode, (long)info.st_size,
          info.st_uid, info.st_gid);
  ++failures;
}

void meet(const char* word) {
  char line[16];
  printf("%s\n", word);
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) exit(1);
}

int error_of(long result) {
  return result < 0 ? errno : 0;
}

int open_error(const char* path, int flags) {
  const int fd = open(path, flags, 0600);
  const int error = error_of(fd);
  if (fd >= 0) close(fd);
  return error;
}

long write_count(const char* path, const void* text, size_t size) {
  const int fd = open(path, O_WRONLY);
  if (fd < 0) return -errno;
  const ssize_t count = write(fd, text, size);
  const long result = count < 0 ? -errno : count;
  close(fd);
  return result;
}

int write_error(const char* path, const char* text) {
  const long count = write_count(path, text, strlen(text));
  return count < 0 ? (int)-count : 0;
}

int create(const char* type, const char* uuid) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/create", type);
  return write_error(path, uuid);
}

int remove_device(const char* uuid) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, DEVICES "/%s/remove", uuid);
  return write_error(path, "1\n");
}

static const char* end_content(ssize_t size) {
  content[size < 0 ? 0 : size] = 0;
  return size < 0 ? "(cannot be read)" : content;
}

const char* read_text(const char* path) {
  const int fd = open(path, O_RDONLY);
  const ssize_t size = fd < 0 ? -1 : read(fd, content, sizeof content - 1);
  if (fd >= 0) close(fd);
  return end_content(size);
}

const char* read_target(const char* path) {
  return end_content(readlink(path, content, sizeof content - 1));
}

bool exists(const char* path) {
  struct stat info;
  return lstat(path, &info) == 0;
}

unsigned count_entries(DIR* directory) {
  unsigned count = 0;
  while (readdir(directory) != NULL) ++count;
  return count;
}

void as_user(uid_t uid, void (*body)(void)) {
  const pid_t child = fork();
  if (child == 0) {
    failures = 0;
    CHECK(setgid(uid) == 0 && setuid(uid) == 0);
    body();
    _exit(failures != 0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  if (status != 0) ++failures;
}
