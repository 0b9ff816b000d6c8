#include "umdev/kernel/services.h"

#include "umdev/kernel/deferred.h"
#include "umdev/kernel/device_record.h"
#include "umdev/kernel/dma_buf.h"
#include "umdev/kernel/external_user.h"
#include "umdev/kernel/file_object.h"
#include "umdev/kernel/iommu_group.h"
#include "umdev/kernel/iommu_registration.h"
#include "umdev/kernel/kernel_thread.h"
#include "umdev/kernel/legacy_parent.h"
#include "umdev/kernel/mdev_driver.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_iommufd.h"
#include "umdev/kernel/module_migration.h"
#include "umdev/kernel/user_pages.h"
#include "umdev/kernel/vfio_record.h"
#include "umdev/kernel/vm_area.h"

namespace umdev::kernel {
namespace {

int alloc_chrdev_region(dev_t* first, unsigned base, unsigned /*count*/, const char* /*name*/) {
  *first = (dev_t{current_call()->module->world().next_major()} << 20U) | base;
  return 0;
}

void unregister_chrdev_region(dev_t /*first*/, unsigned /*count*/) {}

constexpr ::umdev_services table{
    .size = sizeof(::umdev_services),
    .reserved = 0,
    .printk = print,
    .dev_printk = print_of_device,
    .warn = warn,
    .bug = bug,
    .allocate = allocate,
    .reallocate = reallocate,
    .free = release,
    .copy_to_user = copy_to_user,
    .copy_from_user = copy_from_user,
    .wait = wait,
    .wake = wake,
    .sleep = pass_time,
    .device_initialize = device_initialize,
    .device_add = device_add,
    .device_del = device_del,
    .get_device = get_device,
    .put_device = put_device,
    .dev_set_name = dev_set_name,
    .class_register = class_register,
    .class_unregister = class_unregister,
    .alloc_chrdev_region = alloc_chrdev_region,
    .unregister_chrdev_region = unregister_chrdev_region,
    .vfio_alloc_device = vfio_alloc_device,
    .vfio_put_device = vfio_put_device,
    .vfio_init_device = vfio_init_device,
    .vfio_init_data = vfio_init_data,
    .vfio_uninit_device = vfio_uninit_device,
    .vfio_register_device = vfio_register_device,
    .vfio_unregister_device = vfio_unregister_device,
    .mdev_register_driver = mdev_register_driver,
    .mdev_unregister_driver = mdev_unregister_driver,
    .mdev_register_parent = mdev_register_parent,
    .mdev_unregister_parent = mdev_unregister_parent,
    .eventfd_ctx_fdget = eventfd_ctx_fdget,
    .eventfd_ctx_put = eventfd_ctx_put,
    .eventfd_signal = eventfd_signal,
    .vmalloc_user = vmalloc_user,
    .vfree = vfree,
    .remap_vmalloc_range = remap_vmalloc_range,
    .vm_insert_page = vm_insert_page,
    .alloc_pages = alloc_pages,
    .get_page = get_page,
    .put_page = put_page,
    .page_address = page_address,
    .nth_page = nth_page,
    .dma_buf_export = dma_buf_export,
    .dma_buf_fd = dma_buf_fd,
    .dma_buf_get = dma_buf_get,
    .dma_buf_put = dma_buf_put,
    .mdev_register_device = mdev_register_device,
    .mdev_unregister_device = mdev_unregister_device,
    .mdev_type_kobj = mdev_type_kobj,
    .mdev_type_group = mdev_type_group,
    .vfio_add_group_dev = vfio_add_group_dev,
    .vfio_del_group_dev = vfio_del_group_dev,
    .vfio_device_get_from_dev = vfio_device_get_from_dev,
    .vfio_device_put = vfio_device_put,
    .vfio_device_data = vfio_device_data,
    .vfio_assign_device_set = vfio_assign_device_set,
    .iommu_group_alloc = iommu_group_alloc,
    .iommu_group_get = iommu_group_get,
    .iommu_group_put = iommu_group_put,
    .iommu_group_add_device = iommu_group_add_device,
    .iommu_group_remove_device = iommu_group_remove_device,
    .iommu_group_id = iommu_group_id,
    .vfio_pin_pages = vfio_pin_pages,
    .vfio_unpin_pages = vfio_unpin_pages,
    .vfio_dma_rw = vfio_dma_rw,
    .vfio_of_device = vfio_of_device,
    .vfio_on_unmap = vfio_on_unmap,
    .anon_inode_getfile = anon_inode_getfile,
    .get_file = get_file,
    .fput = fput,
    .vfio_mig_get_next_state = vfio_mig_get_next_state,
    .alloc_workqueue = alloc_workqueue,
    .destroy_workqueue = destroy_workqueue,
    .flush_workqueue = flush_workqueue,
    .defer = defer,
    .cancel_deferred = cancel_deferred,
    .flush_deferred = flush_deferred,
    .is_deferred = is_deferred,
    .kthread_create = kthread_create,
    .wake_up_process = wake_up_process,
    .kthread_stop = kthread_stop,
    .kthread_should_stop = kthread_should_stop,
    .current_task = current_task,
    .group_file = group_file,
    .vfio_group_acquire = vfio_group_acquire,
    .vfio_group_release = vfio_group_release,
    .vfio_group_id = vfio_group_id,
    .vfio_group_check_extension = vfio_group_check_extension,
    .vfio_group_is_of_file = vfio_group_is_of_file,
    .vfio_group_device = vfio_group_device,
    .vfio_group_set_kvm = vfio_group_set_kvm,
    .vfio_file_iommu_group = vfio_file_iommu_group,
    .vfio_file_has_dev = vfio_file_has_dev,
    .vfio_file_enforced_coherent = vfio_file_enforced_coherent,
    .vfio_file_set_kvm = vfio_file_set_kvm,
    .vfio_on_kvm = vfio_on_kvm,
    .vfio_register_iommu_driver = vfio_register_iommu_driver,
    .vfio_unregister_iommu_driver = vfio_unregister_iommu_driver,
    .iommu_user_unmap = iommu_user_unmap,
    .vfio_group_iommu_domain = vfio_group_iommu_domain,
    .fget = fget,
    .eventfd_ctx_fileget = eventfd_ctx_fileget,
    .vfio_on_iommufd = vfio_on_iommufd,
    .vfio_iommufd_bind = vfio_iommufd_bind,
    .vfio_iommufd_unbind = vfio_iommufd_unbind,
    .vfio_iommufd_attach = vfio_iommufd_attach,
    .vfio_iommufd_detach = vfio_iommufd_detach,
};

}  // namespace

const ::umdev_services& services() {
  return table;
}

}  // namespace umdev::kernel
