// A program that knows nothing of umdev: linked statically, it uses the mounted tree by plain system calls,
// as it would use /sys. One case a run:
//
//   tree_client ROOT CASE      status 0: as the kernel answers; 1: not, and stderr says what
//
// Where a case has to meet the world in a certain state it says a word on stdout and waits for a line on
// stdin.
#include "tests/integration/sysfs/tree_client/cases.h"
#include "tests/integration/sysfs/tree_client/client.h"

static const struct {
  const char* name;
  void (*run)(void);
} cases[] = {
#define ENTRY(name) {#name, name},
    ALL_CASES(ENTRY)};

int main(int count, char** arguments) {
  if (count != 3 || chdir(arguments[1]) != 0) return 2;
  for (size_t index = 0; index < sizeof cases / sizeof *cases; ++index) {
    if (strcmp(cases[index].name, arguments[2]) != 0) continue;
    cases[index].run();
    return failures != 0;
  }
  fprintf(stderr, "no such case: %s\n", arguments[2]);
  return 2;
}
