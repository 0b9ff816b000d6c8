#include "umdev/uapi/copied_memory.h"

namespace umdev::uapi {

Result<std::shared_ptr<CopiedMemory>> CopiedMemory::create(std::shared_ptr<MemoryCopier> copier,
                                                           std::shared_ptr<os::Process> process,
                                                           std::uint64_t base) {
  os::UniqueFd memory = UMDEV_TRY(process->open_memory());
  return std::shared_ptr<CopiedMemory>(
      new CopiedMemory(std::move(copier), std::move(process), base, std::move(memory)));
}

// The copies themselves go by the process, which is faster and heeds its page protections; the descriptor
// says whether that still has the memory that was lent.
Result<> CopiedMemory::check_life() const {
  if (!os::is_address_space_alive(memory_.get())) return fail(EFAULT, "the memory has gone with its program");
  return {};
}

namespace {

Result<> as_fault(Result<> result) {
  if (!result) return fail(EFAULT, result.error().text);
  return result;
}

}  // namespace

void CopiedMemory::read(std::uint64_t offset, Bytes into, Done<> done) {
  if (auto alive = check_life(); !alive) return done(alive);
  done(as_fault(copier_->read(process_, base_ + offset, into)));
}

void CopiedMemory::write(std::uint64_t offset, ConstBytes from, Done<> done) {
  if (auto alive = check_life(); !alive) return done(alive);
  done(as_fault(copier_->write(process_, base_ + offset, from)));
}

}  // namespace umdev::uapi
