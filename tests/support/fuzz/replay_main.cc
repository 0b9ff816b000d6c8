// Runs a fuzz target without libFuzzer, so that every build and every sanitizer exercises it: first each seed
// of the command line (files and folders), then, for a second, inputs made from the seeds by small changes.
// The changes come from a fixed seed, so a failure repeats itself; the input that failed is kept.
//
//   fuzz_NAME [--seconds N] [FILE or FOLDER ...]      --seconds 0: only the seeds
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t longest_input = 4096;
constexpr const char* finding_path = "fuzz-finding";

const Input* running = nullptr;

// Keeps the input that is running, with nothing but system calls.
void keep_input(int) {
  const int file = ::open(finding_path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  if (file >= 0 && running != nullptr) {
    [[maybe_unused]] const auto written = ::write(file, running->data(), running->size());
    constexpr std::string_view text = "the input is in ./fuzz-finding\n";
    [[maybe_unused]] const auto told = ::write(STDERR_FILENO, text.data(), text.size());
  }
}

void run(const Input& input) {
  running = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  running = nullptr;
}

void read_seed(const std::filesystem::path& path, std::vector<Input>& seeds) {
  std::ifstream file(path, std::ios::binary);
  seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// In the order of their names, so that every run is like the last.
void read_seeds(const std::filesystem::path& path, std::vector<Input>& seeds) {
  if (!std::filesystem::is_directory(path)) return read_seed(path, seeds);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::ranges::sort(files);
  for (const auto& file : files) read_seed(file, seeds);
}

// A seed with a few bytes changed, inserted, cut off, or with a piece of another one.
Input change(Input input, const Input& other, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (std::size_t changes = 1 + below(8); changes > 0; --changes) {
    const auto at = static_cast<std::ptrdiff_t>(below(input.size() + 1));
    switch (below(8)) {
      case 0:
        input.insert(input.begin() + at, 1 + below(16), static_cast<std::uint8_t>(random()));
        break;
      case 1:
        input.resize(static_cast<std::size_t>(at));
        break;
      case 2: {
        const auto from = static_cast<std::ptrdiff_t>(below(other.size() + 1));
        input.insert(input.begin() + at, other.begin() + from, other.end());
        break;
      }
      default:
        if (!input.empty()) input[below(input.size())] = static_cast<std::uint8_t>(random());
    }
  }
  if (input.size() > longest_input) input.resize(longest_input);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths(argv + 1, argv + argc);
  auto seconds = std::chrono::seconds(1);
  if (paths.size() >= 2 && paths[0] == "--seconds") {
    seconds = std::chrono::seconds(std::atoi(paths[1].c_str()));
    paths.erase(paths.begin(), paths.begin() + 2);
  }
  std::signal(SIGABRT, keep_input);
  std::vector<Input> seeds{Input{}};
  for (const std::string& path : paths) read_seeds(path, seeds);
  for (const Input& seed : seeds) run(seed);

  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): a failing run must repeat itself
  const auto end = std::chrono::steady_clock::now() + seconds;
  std::size_t made = 0;
  for (; std::chrono::steady_clock::now() < end; ++made)
    run(change(seeds[random() % seeds.size()], seeds[random() % seeds.size()], random));
  std::printf("%zu seeds, %zu inputs made from them\n", seeds.size() - 1, made);
  return 0;
}
