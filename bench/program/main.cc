// A VFIO program that measures its own calls: umdev-bench runs it, with `umdev run` and without. It knows the
// kernel's interface, and nothing of umdev.
//
//   umdev-bench-program [--quick] calls|dma DEVICE
//   umdev-bench-program [--quick] untouched
#include <cstdio>
#include <span>
#include <string_view>

#include "bench/program/measurements.h"

namespace umdev::bench {

void say(std::string_view name, const Samples& samples, const Samples& limit) {
  std::printf("%.*s\t%.6f\t%.6f\t%.6f\t%.6f\n", static_cast<int>(name.size()), name.data(), samples.median(),
              samples.p99(), limit.median(), limit.p99());
  std::fflush(stdout);
}

namespace {

int run(std::span<char*> words) {
  Effort effort;
  if (!words.empty() && std::string_view(words.front()) == "--quick") {
    effort = Effort::quickly();
    words = words.subspan(1);
  }
  const std::string_view what = words.empty() ? "" : words.front();
  if (what == "calls" && words.size() == 2) {
    measure_calls(effort, words[1]);
  } else if (what == "dma" && words.size() == 2) {
    measure_dma(effort, words[1]);
  } else if (what == "untouched" && words.size() == 1) {
    measure_untouched(effort);
  } else {
    std::fputs("umdev-bench-program [--quick] calls DEVICE | dma DEVICE | untouched\n", stderr);
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace umdev::bench

int main(int count, char** values) {
  return umdev::bench::run(std::span(values, static_cast<std::size_t>(count)).subspan(1));
}
