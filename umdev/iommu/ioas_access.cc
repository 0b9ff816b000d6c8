#include "umdev/iommu/ioas_access.h"

#include <algorithm>
#include <utility>

namespace umdev::iommu {
namespace {

// iommufd says of a hole that nothing is there.
Error as_iommufd_says(Error error) {
  if (error.code == EINVAL) error.code = ENOENT;
  return error;
}

Done<> as_iommufd_says(Done<> done) {
  auto kept = std::make_shared<Done<>>(std::move(done));
  return [kept](Result<> result) {
    if (!result) return (*kept)(std::unexpected(as_iommufd_says(result.error())));
    (*kept)();
  };
}

}  // namespace

IoasAccess::~IoasAccess() {
  detach();
}

std::shared_ptr<Ioas> IoasAccess::ioas() const {
  Lock lock(mutex_);
  return ioas_;
}

std::vector<DmaUser*> IoasAccess::users() const {
  Lock lock(mutex_);
  return users_;
}

Result<> IoasAccess::attach(std::shared_ptr<Ioas> ioas) {
  if (this->ioas() == ioas) return {};
  UMDEV_TRY(ioas->attach(physical_));
  detach();
  for (DmaUser* user : users()) ioas->space().register_user(*user);
  Lock lock(mutex_);
  ioas_ = std::move(ioas);
  return {};
}

void IoasAccess::detach() {
  std::shared_ptr<Ioas> old;
  {
    Lock lock(mutex_);
    old = std::exchange(ioas_, nullptr);
  }
  if (old) leave(*old);
}

void IoasAccess::leave(Ioas& ioas) {
  for (DmaUser* user : users()) {
    user->dma_unmap({.iova = 0, .size = UINT64_MAX});
    ioas.space().unregister_user(*user);
  }
  ioas.detach(physical_);
}

void IoasAccess::set_bound(bool bound) {
  Lock lock(mutex_);
  bound_ = bound;
}

std::unexpected<Error> IoasAccess::not_attached() const {
  Lock lock(mutex_);
  if (!bound_) return fail(EINVAL, "the device is bound to no iommufd");
  return fail(ENOENT, "the device is attached to no address space");
}

Result<IommuInfo> IoasAccess::info() const {
  return fail(ENOTTY, "an iommufd has other commands");
}

Result<> IoasAccess::map(MapRequest) {
  return fail(ENOTTY, "an iommufd has other commands");
}

void IoasAccess::unmap(const UnmapRequest&, Done<std::uint64_t> done) {
  done(fail(ENOTTY, "an iommufd has other commands"));
}

Result<DmaPin> IoasAccess::pin(DmaUser& user, IovaRange range, Access access) {
  const auto ioas = this->ioas();
  if (!ioas) return not_attached();
  auto pin = ioas->space().pin(user, range, access);
  if (!pin) return std::unexpected(as_iommufd_says(pin.error()));
  return pin;
}

void IoasAccess::dma_read(DmaUser&, Iova iova, Bytes into, Done<> done) {
  const auto ioas = this->ioas();
  if (!ioas) return done(not_attached());
  ioas->space().read(iova, into, as_iommufd_says(std::move(done)));
}

void IoasAccess::dma_write(DmaUser&, Iova iova, ConstBytes from, Done<> done) {
  const auto ioas = this->ioas();
  if (!ioas) return done(not_attached());
  ioas->space().write(iova, from, as_iommufd_says(std::move(done)));
}

bool IoasAccess::copies_at_once(IovaRange range) const {
  const auto ioas = this->ioas();
  return ioas && ioas->space().copies_at_once(range);
}

void IoasAccess::register_user(DmaUser& user) {
  std::shared_ptr<Ioas> ioas;
  {
    Lock lock(mutex_);
    users_.push_back(&user);
    ioas = ioas_;
  }
  if (ioas) ioas->space().register_user(user);
}

void IoasAccess::unregister_user(DmaUser& user) {
  std::shared_ptr<Ioas> ioas;
  {
    Lock lock(mutex_);
    std::erase(users_, &user);
    ioas = ioas_;
  }
  if (ioas) ioas->space().unregister_user(user);
}

std::uint32_t IoasAccess::mapping_count() const {
  const auto ioas = this->ioas();
  return ioas ? ioas->space().mapping_count() : 0;
}

std::uint32_t IoasAccess::pin_count() const {
  const auto ioas = this->ioas();
  return ioas ? ioas->space().pin_count() : 0;
}

}  // namespace umdev::iommu
