#include "umdev/pci/vf_token.h"

#include "umdev/support/assert.h"

namespace umdev::pci {

Result<> VfToken::match(const std::optional<Uuid>& shown) const {
  if (!shown) return fail(EACCES, "the function wants a VF token");
  if (*shown != token_) return fail(EACCES, "the VF token is another");
  return {};
}

Result<> VfToken::match_physical(const std::optional<Uuid>& shown) {
  Lock lock(mutex_);
  if (users_ != 0) return match(shown);
  if (shown) token_ = *shown;
  return {};
}

Result<> VfToken::match_virtual(const std::optional<Uuid>& shown) const {
  Lock lock(mutex_);
  return match(shown);
}

void VfToken::set(const Uuid& token) {
  Lock lock(mutex_);
  token_ = token;
}

void VfToken::add_user() {
  Lock lock(mutex_);
  ++users_;
}

void VfToken::remove_user() {
  Lock lock(mutex_);
  UMDEV_ASSERT(users_ > 0, "a virtual function was closed that was not open");
  --users_;
}

}  // namespace umdev::pci
