// simulate [--seed N] [--seeds N] [--steps N]
//
// Runs one seed after another (from --seed on, 1 in the beginning) and says which one failed, and how to see
// it again.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/simulation/simulation.h"

int main(int argc, char** argv) {
  umdev::simulation::Options options;
  std::uint64_t seeds = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 0);
    if (name == "--seed") options.seed = value;
    if (name == "--seeds") seeds = value;
    if (name == "--steps") options.steps = static_cast<std::uint32_t>(value);
  }
  std::uint64_t clients = 0;
  std::uint64_t answers = 0;
  for (std::uint64_t done = 0; done < seeds; ++done, ++options.seed) {
    // Before it runs: an assertion, or a sanitizer, ends the program.
    std::printf("seed %llu\r", static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    const umdev::simulation::Outcome outcome = umdev::simulation::simulate(options);
    clients += outcome.clients;
    answers += outcome.answers;
    if (outcome.good) continue;
    std::printf("seed %llu, step %u: %s\nagain: simulate --seed %llu --steps %u\n",
                static_cast<unsigned long long>(options.seed), outcome.step, outcome.what.c_str(),
                static_cast<unsigned long long>(options.seed), options.steps);
    return 1;
  }
  std::printf("%llu seeds, %llu clients, %llu answers, no difference\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(clients),
              static_cast<unsigned long long>(answers));
  return 0;
}
