#include "umdev/kernel/vfio_record.h"

#include <cstdlib>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/dma_buf.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/mdev_record.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_device.h"
#include "umdev/kernel/waiting.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::kernel {
namespace {

// What hangs on a struct vfio_device.
struct Handle {
  std::shared_ptr<VfioRecord> record;
  std::atomic<int> references = 1;
  bool owns_memory = false;
};

Handle* handle_of(const ::vfio_device* object) {
  return static_cast<Handle*>(object->umdev);
}

std::shared_ptr<MdevRecord> mdev_of(const ::device* dev) {
  const DeviceRecord* const record = DeviceRecord::of(dev);
  return record == nullptr || record->mdev == nullptr ? nullptr : record->mdev->shared_from_this();
}

// From then on a device is told of its virtual machine before it is opened.
constexpr std::uint32_t api_with_kvm_at_open = 0x051300;

// Not an error yet when the device is not known: the registration says so.
void hang_on(::vfio_device* object, ::device* dev, Callbacks callbacks, unsigned rules) {
  Module& module = *current_call()->module;
  object->dev = dev;
  auto handle = std::make_unique<Handle>();
  handle->record = std::make_shared<VfioRecord>(module, object, dev, callbacks, rules);
  object->umdev = handle.release();
}

}  // namespace

VfioRecord::VfioRecord(Module& module, ::vfio_device* object, ::device* dev, Callbacks callbacks,
                       unsigned rules)
    : module_(module),
      object_(object != nullptr ? object : &own_object_),
      dev_(dev),
      node_(DeviceRecord::of(dev) != nullptr ? DeviceRecord::of(dev)->node : nullptr),
      mdev_(mdev_of(dev)),
      callbacks_(callbacks),
      rules_(rules),
      name_(DeviceRecord::of(dev) != nullptr ? DeviceRecord::of(dev)->name : std::string()) {
  own_object_.dev = dev;
}

VfioRecord::~VfioRecord() = default;

// A driver may do without: the kernel has it for messages only.
const char* VfioRecord::driver_name() const {
  const char* name = "vfio_mdev";
  if (const auto* with_data = std::get_if<DataOps>(&callbacks_)) name = with_data->ops.name;
  if (const auto* with_device = device_ops()) name = with_device->ops.name;
  return name != nullptr ? name : "";
}

std::shared_ptr<VfioRecord> VfioRecord::of(const ::vfio_device* object) {
  if (const Handle* const handle = handle_of(object); handle != nullptr) return handle->record;
  // One that a parent answers for: found through its mdev.
  const auto mdev = mdev_of(object->dev);
  return mdev ? mdev->vfio() : nullptr;
}

void VfioRecord::set_iommufd_use(std::shared_ptr<vfio::IommufdUse> use) {
  Lock lock(mutex_);
  std::swap(iommufd_use_, use);
}

std::shared_ptr<vfio::IommufdUse> VfioRecord::iommufd_use() const {
  Lock lock(mutex_);
  return iommufd_use_;
}

void VfioRecord::set_user(vfio::User* user) {
  user_pages_.set_user(user);
}

bool VfioRecord::pins_memory() const {
  const DeviceOps* const with = device_ops();
  return (rules_ & ::umdev_pins_always) != 0 || (with != nullptr && with->ops.dma_unmap != nullptr);
}

void VfioRecord::tell_unmap(std::uint64_t iova, std::uint64_t size) {
  if (const DeviceOps* const with = device_ops(); with != nullptr && with->ops.dma_unmap != nullptr)
    return with->ops.dma_unmap(with->self, iova, size);
  Unmap unmap = nullptr;
  void* data = nullptr;
  {
    Lock lock(mutex_);
    unmap = unmap_;
    data = unmap_data_;
  }
  if (unmap != nullptr) unmap(data, iova, size);
}

bool VfioRecord::set_unmap(Unmap unmap, void* data) {
  Lock lock(mutex_);
  if (unmap != nullptr && unmap_ != nullptr) return false;
  unmap_ = unmap;
  unmap_data_ = data;
  return true;
}

bool VfioRecord::set_tell_kvm(TellKvm tell, void* data) {
  Lock lock(mutex_);
  if (tell != nullptr && tell_kvm_ != nullptr) return false;
  tell_kvm_ = tell;
  tell_kvm_data_ = data;
  return true;
}

void VfioRecord::tell_kvm(::kvm* machine) {
  TellKvm tell = nullptr;
  void* data = nullptr;
  {
    Lock lock(mutex_);
    tell = tell_kvm_;
    data = tell_kvm_data_;
  }
  // Since 5.19 a device keeps the one that it was opened with.
  if (module_.api() >= api_with_kvm_at_open) return;
  object_->kvm = machine;
  if (tell != nullptr) tell(data, machine);
}

void VfioRecord::find_kvm(const vfio::User* user) {
  ::kvm* machine = nullptr;
  std::shared_ptr<vfio::RegisteredDevice> registered;
  {
    Lock lock(mutex_);
    registered = registered_;
  }
  if (user != nullptr && registered)
    machine = module_.world().kvm_of(registered->group()->iommu_group().number());
  // One of C++ is told apart by its address; a driver cannot look into a struct kvm anyway.
  if (user != nullptr && machine == nullptr)
    machine = reinterpret_cast<::kvm*>(user->virtual_machine().get());
  object_->kvm = machine;
}

bool VfioRecord::hold() {
  if (!node_) return false;
  auto ref = module_.world().core().find(*node_);
  if (!ref) return false;
  Lock lock(mutex_);
  held_.push_back(std::move(ref));
  return true;
}

void VfioRecord::let_go() {
  vfio::DeviceRef last;  // goes after the lock
  Lock lock(mutex_);
  if (held_.empty()) return;
  last = std::move(held_.back());
  held_.pop_back();
}

PageArena& VfioRecord::pages() const {
  return mdev_ ? mdev_->pages() : const_cast<PageArena&>(own_pages_);
}

void VfioRecord::add_buffer(::dma_buf* buffer) {
  Lock lock(mutex_);
  buffers_.push_back(buffer);
}

void VfioRecord::remove_buffer(::dma_buf* buffer) {
  Lock lock(mutex_);
  std::erase(buffers_, buffer);
}

void VfioRecord::release_buffers() {
  for (;;) {
    ::dma_buf* buffer = nullptr;
    {
      Lock lock(mutex_);
      if (buffers_.empty()) return;
      buffer = buffers_.back();
    }
    dma_buf_put(buffer);
  }
}

void VfioRecord::leave() {
  if (inside_.fetch_sub(1) != 1 || !is_waited_for_.load()) return;
  Lock lock(mutex_);
  left_.notify_all();
}

void VfioRecord::wait_until_left() {
  Calls::about_to_wait();
  is_waited_for_ = true;  // before the count is looked at; a call that leaves does it the other way round
  Lock lock(mutex_);
  while (inside_.load() > 0) left_.wait(mutex_);
}

Result<> VfioRecord::register_device(bool emulated) {
  if (!node_) return fail(EINVAL, "the device is not registered");
  auto migration = UMDEV_TRY(ModuleMigration::create(shared_from_this()));
  auto device = std::make_unique<ModuleDevice>(shared_from_this(), std::move(migration));
  const vfio::DeviceSpec spec{.parent = node_, .device_set = [this] {
                                Lock lock(mutex_);
                                return device_set_;
                              }()};
  vfio::Core& core = module_.world().core();
  // An mdev has no DMA of its own, whichever function its driver registers it with.
  auto registered = emulated || mdev_ ? core.register_emulated_device(std::move(device), spec)
                                      : core.register_device(std::move(device), spec);
  if (!registered) return std::unexpected(registered.error());
  if (mdev_) {
    mdev_->set_vfio(weak_from_this());
    mdev_->instance()->set_vfio_device(registered->device);
  }
  object_->index = registered->device->index();
  module_.world().vfio_devices().add(dev_, shared_from_this());
  Lock lock(mutex_);
  registered_ = std::move(registered->device);
  registration_ = std::move(registered->registration);
  return {};
}

void VfioRecord::unregister(RemovePolicy policy, Done<> done) {
  Registration registration;
  {
    Lock lock(mutex_);
    registration = std::move(registration_);
  }
  if (!registration) return done();
  auto ending = std::make_shared<std::pair<Registration, Done<>>>(std::move(registration), std::move(done));
  ending->first.unregister(policy, [self = shared_from_this(), ending](Result<> result) {
    {
      Lock lock(self->mutex_);
      if (result) {
        self->registered_ = nullptr;
        static_cast<void>(self->module_.world().vfio_devices().take(self->dev_));
      } else {
        self->registration_ = std::move(ending->first);
      }
    }
    if (result && self->mdev_) self->mdev_->instance()->set_vfio_device(nullptr);
    ending->second(std::move(result));
  });
}

RemovePolicy VfioRecord::removal() const {
  if (module_.is_forced()) return RemovePolicy::force;
  return mdev_ && mdev_->removal() == RemovePolicy::force ? RemovePolicy::force : RemovePolicy::wait;
}

void VfioRecord::set_device_set(const void* id) {
  Lock lock(mutex_);
  device_set_ = id;
}

// --- The services.

::vfio_device* vfio_alloc_device(std::size_t size, ::device* dev, const ::umdev_device_ops* ops) {
  // What came later is nothing that this touches.
  if (size < offsetof(::vfio_device, iommu_entry)) return error_pointer<::vfio_device>(EINVAL);
  auto* const object = static_cast<::vfio_device*>(std::calloc(1, size));
  if (object == nullptr) return error_pointer<::vfio_device>(ENOMEM);
  hang_on(object, dev, DeviceOps{*ops, object}, 0);
  handle_of(object)->owns_memory = true;
  const int answer = ops->init == nullptr ? 0 : ops->init(object);
  if (answer == 0) return object;
  vfio_uninit_device(object);
  std::free(object);
  return error_pointer<::vfio_device>(-answer);
}

void vfio_put_device(::vfio_device* object) {
  Handle* const handle = handle_of(object);
  if (handle == nullptr || handle->references.fetch_sub(1) != 1) return;
  // release() is the last that the driver hears of it; the memory goes after it.
  if (const DeviceOps* with = handle->record->device_ops(); with != nullptr && with->ops.release != nullptr)
    with->ops.release(object);
  vfio_uninit_device(object);
  std::free(object);
}

int vfio_init_device(::vfio_device* object, ::device* dev, const ::umdev_device_ops* ops, unsigned rules) {
  hang_on(object, dev, DeviceOps{*ops, object}, rules);
  return 0;
}

int vfio_init_data(::vfio_device* object, ::device* dev, const ::umdev_data_ops* ops, void* data,
                   unsigned rules) {
  hang_on(object, dev, DataOps{*ops, data}, rules);
  return 0;
}

void vfio_uninit_device(::vfio_device* object) {
  const std::unique_ptr<Handle> handle(static_cast<Handle*>(std::exchange(object->umdev, nullptr)));
}

void vfio_assign_device_set(::vfio_device* object, const void* id) {
  if (const auto record = VfioRecord::of(object)) record->set_device_set(id);
}

int vfio_register_device(::vfio_device* object, bool emulated) {
  const auto record = VfioRecord::of(object);
  // The kernel would crash: initialise first.
  if (!record) return -EINVAL;
  if (const auto registered = record->register_device(emulated); !registered) return -registered.error().code;
  record->module().belongings().add(object, "VFIO device", record->name(),
                                    [object] { vfio_unregister_device(object); });
  return 0;
}

void vfio_unregister_device(::vfio_device* object) {
  const auto record = VfioRecord::of(object);
  if (!record) return;
  record->module().belongings().remove(object);
  static_cast<void>(wait_for([&](Done<> done) { record->unregister(record->removal(), std::move(done)); }));
  record->wait_until_left();
}

}  // namespace umdev::kernel
