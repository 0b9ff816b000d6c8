// A server for the wire suite, with a device that no program uses and that has what others lack: memory to
// map, several interrupts, DMA. Prints the path of its socket, and serves until its standard input ends.
#include <iostream>
#include <string>

#include "tests/integration/vfio_user/live_server.h"

int main() {
  umdev::vfio_user::test::LiveServer live({.devices = 1});
  std::cout << live.instances[0].path << std::endl;  // NOLINT(performance-avoid-endl): somebody waits for it
  for (std::string line; std::getline(std::cin, line);) {
  }
  return testing::Test::HasFailure() ? 1 : 0;
}
