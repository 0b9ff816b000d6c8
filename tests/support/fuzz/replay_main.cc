// Runs a fuzz target without libFuzzer, so that every build and every sanitizer exercises it: first each seed
// in the folders of the command line, then inputs made from the seeds by small changes. The changes come from
// a fixed seed, so a failure repeats itself.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr int inputs_made = 4000;
constexpr std::size_t longest_input = 4096;

std::vector<Input> read_seeds(int count, char** folders) {
  std::vector<Input> seeds{Input{}};
  for (int i = 0; i < count; ++i) {
    if (!std::filesystem::is_directory(folders[i])) continue;
    for (const auto& entry : std::filesystem::directory_iterator(folders[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  return seeds;
}

// A seed with a few bytes changed, inserted or cut off.
Input change(Input input, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (std::size_t changes = 1 + below(8); changes > 0; --changes) {
    const auto at = static_cast<std::ptrdiff_t>(below(input.size() + 1));
    switch (below(4)) {
      case 0:
        input.insert(input.begin() + at, 1 + below(16), static_cast<std::uint8_t>(random()));
        break;
      case 1:
        input.resize(static_cast<std::size_t>(at));
        break;
      default:
        if (!input.empty()) input[below(input.size())] = static_cast<std::uint8_t>(random());
    }
  }
  if (input.size() > longest_input) input.resize(longest_input);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Input> seeds = read_seeds(argc - 1, argv + 1);
  for (const Input& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): a failing run must repeat itself
  for (int i = 0; i < inputs_made; ++i) {
    const Input input = change(seeds[random() % seeds.size()], random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu seeds, %d inputs made from them\n", seeds.size() - 1, inputs_made);
  return 0;
}
