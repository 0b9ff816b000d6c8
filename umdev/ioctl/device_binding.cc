// The commands of a device's own node: VFIO_DEVICE_BIND_IOMMUFD, ATTACH_IOMMUFD_PT, DETACH_IOMMUFD_PT.
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/device_node.h"
#include "umdev/ioctl/iommufd_file.h"
#include "umdev/ioctl/sized_argument.h"

namespace umdev::ioctl {

// In the kernel's order. Leaves the iommufd in `iommufd`.
Result<> DeviceNode::check_bind(Caller& caller, UserAddress argument,
                                std::shared_ptr<iommu::Iommufd>& iommufd) {
  constexpr std::size_t minsz = offsetof(abi::VfioDeviceBindIommufd, token_uuid_ptr);
  const auto asked = UMDEV_TRY(read_sized<abi::VfioDeviceBindIommufd>(caller, argument, minsz));
  const abi::VfioDeviceBindIommufd& bind = asked.value;
  if (bind.iommufd < 0 || (bind.flags & ~abi::vfio_device_bind_flag_token) != 0)
    return fail(EINVAL, "no descriptor, or unknown flags");
  if (!reference_) return fail(EINVAL, "the device was opened through its group");
  if (binding_begun_.load()) return fail(EINVAL, "the device is bound");
  std::optional<Uuid> token;
  if ((bind.flags & abi::vfio_device_bind_flag_token) != 0)
    token = Uuid(UMDEV_TRY((read_value<std::array<std::uint8_t, 16>>(caller, bind.token_uuid_ptr))));
  UMDEV_TRY(reference_->match_token(token));
  const auto file = std::dynamic_pointer_cast<IommufdFile>(UMDEV_TRY(caller.file(bind.iommufd)));
  if (!file) return fail(EBADFD, "the descriptor is of no iommufd");
  iommufd = file->iommufd();
  return {};
}

void DeviceNode::bind(std::shared_ptr<Caller> caller, UserAddress argument, Done<Answer> done) {
  std::shared_ptr<iommu::Iommufd> iommufd;
  if (const Result<> checked = check_bind(*caller, argument, iommufd); !checked)
    return done(std::unexpected(checked.error()));
  if (binding_begun_.exchange(true)) return done(fail(EINVAL, "the device is bound"));
  struct Binding {
    std::shared_ptr<DeviceNode> node;
    std::shared_ptr<Caller> caller;
    UserAddress argument;
    Done<Answer> done;
  };
  auto binding = std::make_shared<Binding>(shared_from_this(), std::move(caller), argument, std::move(done));
  vfio::IommufdBinding::create(
      reference_.shared(), std::move(iommufd), [binding](Result<std::shared_ptr<vfio::IommufdBinding>> made) {
        Result<> result;
        if (!made) result = std::unexpected(made.error());
        const UserAddress out = binding->argument + offsetof(abi::VfioDeviceBindIommufd, out_devid);
        if (result) result = write_value(*binding->caller, out, (*made)->id());
        if (!result) {
          binding->node->binding_begun_.store(false);
          return binding->done(std::unexpected(result.error()));
        }
        binding->node->binding_ = *made;
        binding->node->set_opened((*made)->file());
        binding->done(Answer{});
      });
}

namespace {

// Of ATTACH and DETACH, which have the PASID behind `minsz` bytes. In the kernel's order.
template <typename T>
Result<vfio::IommufdBinding::Pasid> read_pasid(Caller& caller, UserAddress argument, const T& asked,
                                               const vfio::IommufdBinding& binding) {
  if ((asked.flags & ~abi::vfio_device_attach_pasid) != 0) return fail(EINVAL, "unknown flags");
  if (asked.flags == 0) return std::nullopt;
  if (!binding.attaches_pasids()) return fail(EOPNOTSUPP, "the device has no PASIDs");
  return UMDEV_TRY((read_argsz<T>(caller, argument, offsetof(T, pasid) + sizeof(asked.pasid)))).pasid;
}

}  // namespace

void DeviceNode::attach(std::shared_ptr<Caller> caller, UserAddress argument, Done<Answer> done) {
  constexpr std::size_t minsz = offsetof(abi::VfioDeviceAttachIommufdPt, pasid);
  const auto asked = read_argsz<abi::VfioDeviceAttachIommufdPt>(*caller, argument, minsz);
  if (!asked) return done(std::unexpected(asked.error()));
  const auto pasid = read_pasid(*caller, argument, *asked, *binding_);
  if (!pasid) return done(std::unexpected(pasid.error()));
  struct Attaching {
    std::shared_ptr<vfio::IommufdBinding> binding;
    vfio::IommufdBinding::Pasid pasid;
    std::shared_ptr<Caller> caller;
    UserAddress out;
    Done<Answer> done;
  };
  auto attaching = std::make_shared<Attaching>(binding_, *pasid, std::move(caller),
                                               argument + offsetof(abi::VfioDeviceAttachIommufdPt, pt_id),
                                               std::move(done));
  binding_->attach(asked->pt_id, *pasid, [attaching](Result<std::uint32_t> id) {
    if (!id) return attaching->done(std::unexpected(id.error()));
    const Result<> written = write_value(*attaching->caller, attaching->out, *id);
    if (!written) attaching->binding->detach(attaching->pasid, [](Result<>) {});
    attaching->done(success(written));
  });
}

void DeviceNode::detach(Caller& caller, UserAddress argument, Done<Answer> done) {
  constexpr std::size_t minsz = offsetof(abi::VfioDeviceDetachIommufdPt, pasid);
  const auto asked = read_argsz<abi::VfioDeviceDetachIommufdPt>(caller, argument, minsz);
  if (!asked) return done(std::unexpected(asked.error()));
  const auto pasid = read_pasid(caller, argument, *asked, *binding_);
  if (!pasid) return done(std::unexpected(pasid.error()));
  auto kept = std::make_shared<Done<Answer>>(std::move(done));
  binding_->detach(*pasid, [kept](Result<> result) { (*kept)(success(result)); });
}

}  // namespace umdev::ioctl
