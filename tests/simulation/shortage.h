// Mappings and descriptors that run out, when a simulation says so.
#pragma once

#include <cstdint>
#include <random>

namespace umdev::simulation {

// While one lives and is armed, mmap() of files fails with ENOMEM and duplicating a descriptor with EMFILE,
// each with the probability given. At most one at a time; one thread.
class Shortage {
 public:
  explicit Shortage(std::uint64_t seed);
  ~Shortage();
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;

  // In percent; 0: nothing is short.
  void set_percent(unsigned percent) { percent_ = percent; }
  unsigned percent() const { return percent_; }
  // Only what happens while it is armed fails: the server's calls, not the test's.
  void arm(bool armed) { armed_ = armed; }

  bool strikes();

 private:
  std::mt19937_64 random_;
  unsigned percent_ = 0;
  bool armed_ = false;
};

}  // namespace umdev::simulation
