// What the program measures, each beside what the machine needs for the same.
#pragma once

#include <string>
#include <string_view>

#include "bench/sampling.h"

namespace umdev::bench {

// Says one row: `name`, the median and the 99th percentile in nanoseconds (of which 0 is none), and the
// limit's two, between tabs.
void say(std::string_view name, const Samples& samples, const Samples& limit);

// System calls on a device's files.
void measure_calls(const Effort& effort, const std::string& device);
// Copies by a DMA engine; the rows are of one byte.
void measure_dma(const Effort& effort, const std::string& device);

// System calls that are none of the daemon's business: a turn for each line on the standard input, of which
// it says the median of each.
void measure_untouched(const Effort& effort);

}  // namespace umdev::bench
