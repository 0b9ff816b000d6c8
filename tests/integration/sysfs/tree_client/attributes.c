// What sysfs answers, whatever the attribute.
#include "tests/integration/sysfs/tree_client/cases.h"
#include "tests/integration/sysfs/tree_client/client.h"

void create_cannot_be_opened_for_reading(void) {
  EXPECT(EACCES, open_error(TYPE "/create", O_RDONLY));
  EXPECT(EACCES, open_error(TYPE "/create", O_RDWR));
  EXPECT(0, open_error(TYPE "/create", O_WRONLY));
}

void name_cannot_be_opened_for_writing(void) {
  EXPECT(EACCES, open_error(TYPE "/name", O_WRONLY));
  EXPECT(EACCES, open_error(TYPE "/name", O_RDWR));
  EXPECT(0, open_error(TYPE "/name", O_RDONLY));
}

void creating_and_truncating_what_is_there_does_nothing(void) {
  const int fd = open(PARENT "/knob", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0);
  EXPECT(3, write(fd, "abc", 3));
  CHECK(ftruncate(fd, 1) == 0);
  close(fd);
  CHECK(truncate(PARENT "/knob", 0) == 0);
  CHECK(truncate(PARENT "/knob", 12345678) == 0);
  struct stat info;
  CHECK(stat(PARENT "/knob", &info) == 0);
  EXPECT(4096, info.st_size);
  EXPECT(0644, info.st_mode & 07777);
  EXPECT_TEXT("1 shows 1 stores 3 bytes\n", PARENT "/knob");
}

void a_file_that_is_not_there_cannot_be_made(void) {
  EXPECT(EACCES, open_error(PARENT "/new", O_WRONLY | O_CREAT));
  EXPECT(EACCES, open_error(PARENT "/new", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC));
  EXPECT(ENOENT, open_error(DEVICE "/new", O_WRONLY | O_CREAT));
  EXPECT(EEXIST, open_error(TYPE "/create", O_WRONLY | O_CREAT | O_EXCL));
  EXPECT(0, create(TYPE, UUID));
  const int device = open(DEVICE, O_RDONLY | O_DIRECTORY);
  EXPECT(EACCES, error_of(openat(device, "new", O_WRONLY | O_CREAT, 0600)));
  EXPECT(0, remove_device(UUID));
  EXPECT(ENOENT, error_of(openat(device, "new", O_WRONLY | O_CREAT, 0600)));
  EXPECT(ENOENT, error_of(openat(device, "remove", O_WRONLY)));
}

void nothing_is_made_moved_or_taken_away(void) {
  EXPECT(EPERM, error_of(mkdir(PARENT "/new", 0755)));
  EXPECT(EPERM, error_of(rmdir(TYPE "/devices")));
  EXPECT(EPERM, error_of(unlink(TYPE "/name")));
  EXPECT(EPERM, error_of(unlink("class/mdev_bus/card")));
  EXPECT(EPERM, error_of(rename(TYPE "/name", TYPE "/other")));
  EXPECT(EPERM, error_of(rename(TYPE, TYPES "/other")));
  EXPECT(EPERM, error_of(symlink("x", PARENT "/new")));
  EXPECT(EPERM, error_of(link(TYPE "/name", TYPE "/other")));
  EXPECT(EPERM, error_of(mknod(PARENT "/new", S_IFIFO | 0600, 0)));
}

static void change_knob_and_create(void) {
  CHECK(chmod(PARENT "/knob", 0600) == 0);
  CHECK(chown(PARENT "/knob", 1234, 5678) == 0);
  CHECK(chmod(TYPE "/create", 0220) == 0);
  CHECK(chown(TYPE "/create", 1234, (gid_t)-1) == 0);
}

void chmod_and_chown_are_kept_until_the_object_dies(void) {
  struct stat info;
  change_knob_and_create();
  CHECK(stat(PARENT "/knob", &info) == 0);
  EXPECT(0600, info.st_mode & 07777);
  EXPECT(1234, info.st_uid);
  EXPECT(5678, info.st_gid);
  CHECK(stat(TYPE "/create", &info) == 0);
  EXPECT(0220, info.st_mode & 07777);
  EXPECT(1234, info.st_uid);
  EXPECT(0, info.st_gid);
  meet("changed");  // the parent is registered anew
  EXPECT_NODE(S_IFREG | 0644, 4096, PARENT "/knob");
  EXPECT_NODE(S_IFREG | 0200, 4096, TYPE "/create");
}

void a_write_where_there_is_no_store_is_eio(void) {
  CHECK(chmod(TYPE "/name", 0644) == 0);
  EXPECT(EIO, write_error(TYPE "/name", "x"));
  CHECK(chmod(TYPE "/create", 0600) == 0);
  const int fd = open(TYPE "/create", O_RDONLY);
  CHECK(fd >= 0);
  EXPECT(EIO, error_of(read(fd, content, 10)));
}

static void create_as_owner(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(EACCES, create(OTHER_TYPE, SECOND_UUID));
  EXPECT(EACCES, remove_device(UUID));
  EXPECT(EPERM, error_of(chmod(DEVICE "/remove", 0666)));
}

void who_owns_create_can_create_and_not_remove(void) {
  CHECK(chown(TYPE "/create", 12345, (gid_t)-1) == 0);
  as_user(12345, create_as_owner);
  EXPECT_NODE(S_IFREG | 0200, 4096, DEVICE "/remove");
  EXPECT(0, remove_device(UUID));
}

static void as_nobody(void) {
  EXPECT(EACCES, open_error(TYPE "/create", O_WRONLY));
  EXPECT(0, open_error(TYPE "/name", O_RDONLY));
  EXPECT(EACCES, open_error(TYPE "/name", O_WRONLY));
  EXPECT(EACCES, error_of(mkdir(PARENT "/new", 0755)));
  EXPECT(EACCES, error_of(unlink(TYPE "/name")));
  EXPECT(EACCES, error_of(truncate(TYPE "/create", 0)));
  EXPECT(EPERM, error_of(chown(TYPE "/create", 12345, 12345)));
}

void others_may_what_the_mode_says(void) {
  as_user(12345, as_nobody);
}

void an_empty_write_stores_nothing(void) {
  EXPECT(0, write_count(PARENT "/knob", "", 0));
  EXPECT(0, write_count(TYPE "/create", "", 0));
  EXPECT_TEXT("1 shows 0 stores 0 bytes\n", PARENT "/knob");
}

void the_offset_of_a_write_does_not_matter(void) {
  const int fd = open(TYPE "/create", O_WRONLY);
  EXPECT(36, pwrite(fd, UUID, 36, 1));
  close(fd);
  CHECK(exists(DEVICE));
  const int knob = open(PARENT "/knob", O_WRONLY | O_APPEND);
  EXPECT(4, write(knob, "text", 4));
  EXPECT(2, pwrite(knob, "xy", 2, 1000000));
  close(knob);
  EXPECT_TEXT("1 shows 2 stores 2 bytes\n", PARENT "/knob");
}

void a_store_gets_a_page_at_most(void) {
  static char big[300000];
  memset(big, 'x', sizeof big);
  EXPECT(4096, write_count(PARENT "/knob", big, 4096));
  EXPECT(4096, write_count(PARENT "/knob", big, 4097));
  EXPECT(4096, write_count(PARENT "/knob", big, sizeof big));
  EXPECT_TEXT("1 shows 3 stores 4096 bytes\n", PARENT "/knob");
}

void a_descriptor_whose_object_is_gone_is_enodev(void) {
  EXPECT(0, create(TYPE, UUID));
  const int first = open(DEVICE "/remove", O_WRONLY);
  const int second = open(DEVICE "/remove", O_WRONLY);
  const int uevent = open(DEVICE "/uevent", O_RDWR);
  EXPECT(5, read(uevent, content, 5));
  EXPECT(1, write(first, "1", 1));
  EXPECT(ENODEV, error_of(write(second, "1", 1)));
  EXPECT(ENODEV, error_of(write(uevent, "add", 3)));
  EXPECT(ENODEV, error_of(read(uevent, content, 5)));
  EXPECT(ENODEV, error_of(pread(uevent, content, 5, 0)));
  struct stat info;
  CHECK(fstat(uevent, &info) == 0);
  EXPECT(4096, info.st_size);
  EXPECT(ENOENT, open_error(DEVICE "/remove", O_WRONLY));
}

void a_read_past_the_end_is_nothing_and_at_0_shows_again(void) {
  const int fd = open(PARENT "/knob", O_RDONLY);
  const char* first = "1 shows 0 stores 0 bytes\n";
  EXPECT(strlen(first), read(fd, content, sizeof content));
  EXPECT(0, read(fd, content, sizeof content));
  EXPECT(0, pread(fd, content, sizeof content, 4000));
  EXPECT(2, pread(fd, content, 2, 0));
  CHECK(memcmp(content, "2 ", 2) == 0);
  EXPECT(5, pread(fd, content, 5, 2));  // the rest of the same text
  CHECK(memcmp(content, "shows", 5) == 0);
  EXPECT(0, lseek(fd, 0, SEEK_SET));
  EXPECT(2, read(fd, content, 2));
  CHECK(memcmp(content, "3 ", 2) == 0);
}

void a_show_is_a_page_less_one_at_most(void) {
  const int fd = open(PARENT "/long", O_RDONLY);
  EXPECT(4095, read(fd, content, sizeof content));
  EXPECT(0, read(fd, content, sizeof content));
}

void binary_attributes_have_offsets_and_no_limit(void) {
  static unsigned char bytes[20000];
  struct stat info;
  CHECK(stat("binary", &info) == 0);
  EXPECT(10000, info.st_size);
  const int fd = open("binary", O_RDWR);
  EXPECT(10000, read(fd, bytes, sizeof bytes));
  EXPECT(0, read(fd, bytes, sizeof bytes));
  EXPECT(4, pwrite(fd, "abcd", 4, 5000));
  EXPECT(4, pread(fd, bytes, 4, 5000));
  CHECK(memcmp(bytes, "abcd", 4) == 0);
  EXPECT(2, pwrite(fd, "efgh", 4, 9998));
  EXPECT(EFBIG, error_of(pwrite(fd, "x", 1, 10000)));
}
