// Keeps a client that truncates its own memory file from taking the process with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "umdev/os/mapping.h"

namespace umdev::os {

// A SIGBUS handler, the one global of this project (a process has one handler per signal, so it cannot be a
// value). It knows the mappings of client files. When an access meets a page that its file does not have any
// more, the handler puts zero pages over that page and all that follow in the mapping, marks the mapping, and
// the access goes on, reading zeros. (All that follow: they lie behind the new end of the file too, and a
// client that made us patch page by page could use up the mappings of the whole process.) A fault anywhere
// else goes to whoever handled SIGBUS before, which as a rule ends the process.
//
// A system call that is given such memory (read(), sendmsg()) fails with EFAULT and raises no signal.
class FaultGuard {
  struct Entry;

 public:
  // As many mappings as a process can have (vm.max_map_count is 65530 unless changed).
  static constexpr std::size_t max_mappings = 65536;

  // Watches over one mapping until its end, which must come before the mapping's. The mapping may be moved
  // meanwhile, since its memory stays where it is. Made and ended on any thread.
  class [[nodiscard]] Registration {
   public:
    Registration() = default;
    Registration(Registration&& other) noexcept : entry_(other.entry_) { other.entry_ = nullptr; }
    Registration& operator=(Registration&& other) noexcept;
    ~Registration() { end(); }

    explicit operator bool() const { return entry_ != nullptr; }

    // True once a fault has been covered: what the mapping holds is no longer what its client shares. Set
    // before the zero pages can be seen. Any thread.
    bool faulted() const { return faults() != 0; }
    // How many accesses met a missing page.
    std::uint32_t faults() const;

   private:
    friend class FaultGuard;
    explicit Registration(Entry* entry) : entry_(entry) {}
    void end();

    Entry* entry_ = nullptr;
  };

  // Installs the handler, once per process, however often it is called. Any thread. Whoever installs a
  // SIGBUS handler later takes this one's place.
  static Result<> install();

  // Watches over a mapping from now on; installs the handler if nobody has. EINVAL for an empty mapping;
  // ENOSPC when max_mappings are watched. Any thread.
  static Result<Registration> protect(const Mapping& mapping);

  // Counters of the process: mappings watched now, and faults covered since its start.
  static std::size_t count_protected();
  static std::uint64_t count_faults();

 private:
  static void handle_signal(int signal, void* info, void* context);
  static bool cover(std::uintptr_t address);
  static bool cover_in(Entry& entry, std::uintptr_t address);

  struct Table;
  static Table table;
};

}  // namespace umdev::os
