// What the cases share: a check that fails is told of on stderr, and counted.
#pragma once

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Below the root, which is the working directory.
#define PARENT "devices/virtual/card/card"
#define TYPES PARENT "/mdev_supported_types"
#define TYPE TYPES "/card-1"
#define OTHER_TYPE TYPES "/card-2"
#define NULL_PARENT "devices/virtual/null/null"
#define NULL_TYPE NULL_PARENT "/mdev_supported_types/null-1"
#define HELD_PARENT "devices/virtual/held/held"
#define HELD_TYPE HELD_PARENT "/mdev_supported_types/held-1"
#define MTTY_TYPES "devices/virtual/mtty/mtty/mdev_supported_types"
#define DEVICES "bus/mdev/devices"
#define UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define SECOND_UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"
#define THIRD_UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1003"
#define DEVICE PARENT "/" UUID

extern int failures;
extern char content[8192];  // what was read last

#define CHECK(condition) check(__LINE__, #condition, condition)
#define EXPECT(expected, expression) expect_equal(__LINE__, #expression, (long)(expected), (long)(expression))
#define EXPECT_TEXT(expected, path) expect_text(__LINE__, path, expected, read_text(path))
#define EXPECT_TARGET(expected, path) expect_text(__LINE__, path, expected, read_target(path))
// The mode, type included, and the size; root owns it.
#define EXPECT_NODE(mode, size, path) expect_node(__LINE__, path, mode, size)

void check(int line, const char* what, bool holds);
void expect_equal(int line, const char* what, long expected, long got);
void expect_text(int line, const char* path, const char* expected, const char* got);
void expect_node(int line, const char* path, mode_t mode, off_t size);

// Says where it is, and waits to be told to go on.
void meet(const char* word);

// 0 for success, else the errno.
int error_of(long result);
int open_error(const char* path, int flags);
int write_error(const char* path, const char* text);
int create(const char* type, const char* uuid);
int remove_device(const char* uuid);
// The count, or the negative errno.
long write_count(const char* path, const void* text, size_t size);

const char* read_text(const char* path);
const char* read_target(const char* path);
bool exists(const char* path);
unsigned count_entries(DIR* directory);

// In a child that is another user; what fails there fails here.
void as_user(uid_t uid, void (*body)(void));
