#include "umdev/os/fault_guard.h"

#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/support/mutex.h"

namespace umdev::os {

// One watched mapping. The handler reads it without a lock, at any moment; the memory of an entry is never
// freed. `begin` is null while the entry is free, and is published last and taken back first.
struct FaultGuard::Entry {
  std::atomic<std::byte*> begin = nullptr;
  std::atomic<std::size_t> size = 0;
  std::atomic<std::size_t> page_bytes = 0;
  std::atomic<int> protection = 0;
  std::atomic<std::uint32_t> faults = 0;
  Entry* next_free = nullptr;  // under the table's mutex
};

namespace {

constexpr std::size_t entries_per_chunk = 1024;

}  // namespace

// Grows by chunks, which the handler finds in order until the first that is missing.
struct FaultGuard::Table {
  using Chunk = std::array<Entry, entries_per_chunk>;
  static constexpr std::size_t chunk_count = max_mappings / entries_per_chunk;

  Entry* allocate() UMDEV_REQUIRES(mutex) {
    if (free == nullptr && !grow()) return nullptr;
    ++used;
    return std::exchange(free, free->next_free);
  }

  bool grow() UMDEV_REQUIRES(mutex) {
    if (grown == chunk_count) return false;
    auto chunk = std::make_unique<Chunk>();
    for (Entry& entry : *chunk) entry.next_free = std::exchange(free, &entry);
    chunks[grown++].store(chunk.release(), std::memory_order_release);  // for as long as the process lives
    return true;
  }

  Mutex mutex;
  Entry* free UMDEV_GUARDED_BY(mutex) = nullptr;
  std::size_t grown UMDEV_GUARDED_BY(mutex) = 0;
  std::size_t used UMDEV_GUARDED_BY(mutex) = 0;
  bool installed UMDEV_GUARDED_BY(mutex) = false;

  std::array<std::atomic<Chunk*>, chunk_count> chunks{};
  std::atomic<std::uint64_t> faults = 0;
  struct sigaction previous{};  // written before the handler is installed
};

constinit FaultGuard::Table FaultGuard::table;

Result<> FaultGuard::install() {
  Lock lock(table.mutex);
  if (table.installed) return {};
  if (::sigaction(SIGBUS, nullptr, &table.previous) != 0) return fail_errno("cannot ask for the handler");
  struct sigaction action{};
  action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
    handle_signal(signal, info, context);
  };
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (::sigaction(SIGBUS, &action, nullptr) != 0) return fail_errno("cannot install the handler");
  table.installed = true;
  return {};
}

Result<FaultGuard::Registration> FaultGuard::protect(const Mapping& mapping) {
  if (!mapping) return fail(EINVAL, "no mapping to watch over");
  UMDEV_TRY(install());
  Entry* entry = nullptr;
  {
    Lock lock(table.mutex);
    entry = table.allocate();
  }
  if (entry == nullptr) return fail(ENOSPC, "too many client mappings");
  entry->faults.store(0, std::memory_order_relaxed);
  entry->protection.store(to_mmap_protection(mapping.protection()), std::memory_order_relaxed);
  entry->page_bytes.store(mapping.page_bytes(), std::memory_order_relaxed);
  entry->size.store(mapping.mapped_size(), std::memory_order_release);
  entry->begin.store(mapping.data(), std::memory_order_release);
  return Registration(entry);
}

std::size_t FaultGuard::count_protected() {
  Lock lock(table.mutex);
  return table.used;
}

std::uint64_t FaultGuard::count_faults() {
  return table.faults.load(std::memory_order_relaxed);
}

FaultGuard::Registration& FaultGuard::Registration::operator=(Registration&& other) noexcept {
  if (this != &other) {
    end();
    entry_ = std::exchange(other.entry_, nullptr);
  }
  return *this;
}

std::uint32_t FaultGuard::Registration::faults() const {
  return entry_ == nullptr ? 0 : entry_->faults.load(std::memory_order_acquire);
}

void FaultGuard::Registration::end() {
  if (entry_ == nullptr) return;
  entry_->begin.store(nullptr, std::memory_order_release);
  Lock lock(table.mutex);
  entry_->next_free = std::exchange(table.free, entry_);
  --table.used;
  entry_ = nullptr;
}

// From here on: inside the signal handler. No lock, no allocation, nothing of the C library but system calls.

bool FaultGuard::cover(std::uintptr_t address) {
  for (auto& slot : table.chunks) {
    Table::Chunk* chunk = slot.load(std::memory_order_acquire);
    if (chunk == nullptr) return false;
    for (Entry& entry : *chunk)
      if (cover_in(entry, address)) return true;
  }
  return false;
}

bool FaultGuard::cover_in(Entry& entry, std::uintptr_t address) {
  std::byte* begin = entry.begin.load(std::memory_order_acquire);
  if (begin == nullptr || address < reinterpret_cast<std::uintptr_t>(begin)) return false;
  const std::size_t offset = address - reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t size = entry.size.load(std::memory_order_acquire);
  if (offset >= size) return false;
  const std::size_t page_bytes = entry.page_bytes.load(std::memory_order_acquire);
  const int protection = entry.protection.load(std::memory_order_acquire);
  // The entry of the mapping that is being accessed does not change under the access. One that has changed
  // while we looked at it belongs to another mapping, and its address and size may not belong together.
  if (entry.begin.load(std::memory_order_relaxed) != begin) return false;

  entry.faults.fetch_add(1, std::memory_order_release);
  table.faults.fetch_add(1, std::memory_order_relaxed);
  const std::size_t page = offset - offset % page_bytes;
  if (put_zero_pages_over(begin + page, size - page, protection)) return true;
  // Cutting a mapping in two takes one more of the mappings that a process can have; replacing all of it does
  // not.
  return put_zero_pages_over(begin, size, protection).has_value();
}

void FaultGuard::handle_signal(int signal, void* raw_info, void* context) {
  const int saved = errno;
  auto* info = static_cast<siginfo_t*>(raw_info);
  // A misaligned access is no missing page, and a signal that somebody sent has no address.
  const bool page_is_missing =
      info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR || info->si_code == BUS_MCEERR_AR;
  const bool covered = page_is_missing && cover(reinterpret_cast<std::uintptr_t>(info->si_addr));
  errno = saved;
  if (covered) return;

  const struct sigaction& previous = table.previous;
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  const bool was_sent = info->si_code <= 0;
  if (previous.sa_handler == SIG_IGN && was_sent) return;
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  // The default ends the process: by the access, which is repeated, or by the signal, sent again.
  ::signal(SIGBUS, SIG_DFL);
  if (was_sent) ::raise(SIGBUS);
}

}  // namespace umdev::os
