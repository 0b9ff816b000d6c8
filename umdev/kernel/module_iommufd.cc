// A module's device and its user's iommufd: bind_iommufd and its like are called, and what they call.
#include "umdev/kernel/module_iommufd.h"

#include <utility>

#include "umdev/kernel/answer.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_device.h"
#include "umdev/vfio/iommufd_use.h"

namespace umdev::kernel {
namespace {

// A driver cannot look into one: it is told apart by its address.
::iommufd_ctx* context_of(const vfio::IommufdUse& use) {
  return reinterpret_cast<::iommufd_ctx*>(use.iommufd().get());
}

// `Body` is (const umdev_iommufd_ops&, vfio_device*) to Result<T>.
template <typename T, typename Body>
struct StepTask final : Task {
  StepTask(std::shared_ptr<VfioRecord> of, Body what, Done<T> then)
      : record(std::move(of)), body(std::move(what)), done(std::move(then)) {}
  std::shared_ptr<VfioRecord> record;
  Body body;
  Done<T> done;
  Result<T> result = module_crashed();

  void run(Call& call) override {
    const Inside inside(call, *record);
    result = body(*record->iommufd_ops(), record->object());
  }
  void crashed() override { result = module_crashed(); }
  void finish() override { done(std::move(result)); }
};

// Of a callback that answers by what it is given the address of.
Result<std::uint32_t> to_id(int answer, umdev_u32 id, std::string_view what) {
  UMDEV_TRY(to_result(answer, what));
  return id;
}

// Null but in the callbacks between bind_iommufd and unbind_iommufd.
std::shared_ptr<vfio::IommufdUse> use_of(::vfio_device* object) {
  const auto record = VfioRecord::of(object);
  return record ? record->iommufd_use() : nullptr;
}

}  // namespace

// --- The callbacks.

template <typename T, typename Body>
void ModuleDevice::take_step(const char* callback, Body body, Done<T> done) {
  if (record_->is_retired()) return done(fail(ENODEV, "the parent has removed the device"));
  record_->module().world().calls().start(call_name(callback),
                                          StepTask<T, Body>(record_, std::move(body), std::move(done)));
}

void ModuleDevice::bind_iommufd(std::shared_ptr<vfio::IommufdUse> use, Done<std::uint32_t> done) {
  ::iommufd_ctx* const context = context_of(*use);
  record_->set_iommufd_use(std::move(use));
  struct Binding {
    std::shared_ptr<VfioRecord> record;
    Done<std::uint32_t> done;
  };
  auto binding = std::make_shared<Binding>(record_, std::move(done));
  take_step<std::uint32_t>(
      "bind_iommufd",
      [context](const ::umdev_iommufd_ops& ops, ::vfio_device* object) {
        umdev_u32 id = 0;
        const int answer = ops.bind(object, context, &id);
        return to_id(answer, id, "the module's bind_iommufd failed");
      },
      [binding](Result<std::uint32_t> id) {
        if (!id) binding->record->set_iommufd_use(nullptr);
        binding->done(std::move(id));
      });
}

void ModuleDevice::unbind_iommufd(Done<> done) {
  struct Unbinding {
    std::shared_ptr<VfioRecord> record;
    Done<> done;
  };
  auto unbinding = std::make_shared<Unbinding>(record_, std::move(done));
  take_step<void>(
      "unbind_iommufd",
      [](const ::umdev_iommufd_ops& ops, ::vfio_device* object) -> Result<> {
        ops.unbind(object);
        return {};
      },
      [unbinding](Result<> result) {
        unbinding->record->set_iommufd_use(nullptr);
        unbinding->done(std::move(result));
      });
}

void ModuleDevice::attach_ioas(std::uint32_t object, Done<std::uint32_t> done) {
  take_step<std::uint32_t>(
      "attach_ioas",
      [id = umdev_u32{object}](const ::umdev_iommufd_ops& ops, ::vfio_device* device) mutable {
        const int answer = ops.attach(device, &id);
        return to_id(answer, id, "the module's attach_ioas failed");
      },
      std::move(done));
}

void ModuleDevice::detach_ioas(Done<> done) {
  take_step<void>(
      "detach_ioas",
      [](const ::umdev_iommufd_ops& ops, ::vfio_device* object) -> Result<> {
        ops.detach(object);
        return {};
      },
      std::move(done));
}

bool ModuleDevice::attaches_pasids() const {
  const auto& ops = record_->iommufd_ops();
  return ops && ops->attach_pasid != nullptr && ops->detach_pasid != nullptr;
}

void ModuleDevice::attach_pasid(std::uint32_t pasid, std::uint32_t object, Done<std::uint32_t> done) {
  take_step<std::uint32_t>(
      "pasid_attach_ioas",
      [pasid, id = umdev_u32{object}](const ::umdev_iommufd_ops& ops, ::vfio_device* device) mutable {
        const int answer = ops.attach_pasid(device, pasid, &id);
        return to_id(answer, id, "the module's pasid_attach_ioas failed");
      },
      std::move(done));
}

void ModuleDevice::detach_pasid(std::uint32_t pasid, Done<> done) {
  take_step<void>(
      "pasid_detach_ioas",
      [pasid](const ::umdev_iommufd_ops& ops, ::vfio_device* object) -> Result<> {
        ops.detach_pasid(object, pasid);
        return {};
      },
      std::move(done));
}

// --- The services.

void vfio_on_iommufd(::vfio_device* object, const ::umdev_iommufd_ops* ops) {
  if (const auto record = VfioRecord::of(object)) record->set_iommufd_ops(*ops);
}

int vfio_iommufd_bind(::vfio_device* object, ::iommufd_ctx* context, umdev_u32* device_id) {
  const auto use = use_of(object);
  if (!use || device_id == nullptr || context != context_of(*use)) return -EINVAL;
  const auto id = use->bind();
  if (!id) return -id.error().code;
  *device_id = *id;
  return 0;
}

void vfio_iommufd_unbind(::vfio_device* object) {
  if (const auto use = use_of(object)) static_cast<void>(use->unbind());
}

int vfio_iommufd_attach(::vfio_device* object, umdev_u32* id) {
  const auto use = use_of(object);
  if (!use || id == nullptr) return -EINVAL;
  const auto attached = use->attach(*id);
  if (!attached) return -attached.error().code;
  *id = *attached;
  return 0;
}

void vfio_iommufd_detach(::vfio_device* object) {
  if (const auto use = use_of(object)) static_cast<void>(use->detach());
}

}  // namespace umdev::kernel
