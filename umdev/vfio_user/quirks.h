// Where this wire or one of its clients needs its own twist: one row each, with its reason. Everything else
// is the kernel's answer.
#pragma once

namespace umdev::vfio_user::quirks {

// The kernel answers a REGION_INFO whose argsz is too small for the capabilities with FLAG_CAPS and
// cap_offset 0. QEMU 11.1 takes that for a chain at offset 0 and refuses the device ("failed to get region 0
// info"). It asks again because argsz in the answer is larger, so the flag is left out.
inline constexpr bool short_region_info_says_caps = false;

// The descriptor of a mappable region comes with the complete REGION_INFO, not with the short one: QEMU keeps
// only the second, and libvfio-user's client counts descriptors by this rule.
inline constexpr bool short_region_info_has_descriptor = false;

// `offset` of the kernel's REGION_INFO is where the region begins in the device's file. This wire has no such
// file: there it is where the region begins in the file whose descriptor comes along, and QEMU maps exactly
// there; 0 for a region that cannot be mapped.
inline constexpr bool region_offset_is_of_descriptor = true;

// The kernel's DEVICE_INFO may be followed by capabilities. The wire's structure has no cap_offset.
inline constexpr bool device_info_has_capabilities = false;

// The kernel's SET_IRQS carries descriptor numbers, -1 for "none". The wire carries descriptors beside the
// message, all or none: DATA_EVENTFD without any means -1 for each vector. QEMU enables MSI-X so, with one
// silent vector.
inline constexpr bool no_descriptors_mean_minus_one = true;

// A DMA_MAP has no virtual address. The kernel's alignment rule for it is applied to the offset in the file;
// a map without descriptor (QEMU: ROMs, holes, BARs) has none.
inline constexpr bool offset_takes_place_of_vaddr = true;

// The specification's reply to a DMA_WRITE repeats the request's 16 bytes, though its table gives `count` 4
// bytes, which makes 12; QEMU before 11.1 answers with the bare header. All three are taken.
inline constexpr bool dma_write_reply_may_be_short = true;

// read() of the kernel's data_fd says ENOMSG at the temporary end in pre-copy, and poll() when there is more.
// This wire has no poll(): there a reply with fewer bytes than asked for is the end for now, as it is the end
// for ever in STOP_COPY.
inline constexpr bool precopy_end_is_a_short_read = true;

// The kernel's SET of MIG_DEVICE_STATE answers with the descriptor of a data stream. Here the stream is read
// and written by messages, and data_fd is always -1.
inline constexpr bool migration_stream_has_descriptor = false;

// The kernel's UNMAP_DMA with GET_DIRTY_BITMAP reports what VFIO_IOMMU_DIRTY_PAGES tracks in the container.
// This wire has no such command any more (DIRTY_PAGES was removed): what is reported is the device's DMA
// logging.
inline constexpr bool unmap_bitmap_is_of_dma_logging = true;

// The specification's entries of REGION_IO_FDS have 40 bytes, libvfio-user's 48. Ours are the
// specification's; our client takes both, told apart by the size of the reply.
inline constexpr bool io_fd_entries_are_the_specifications = true;

}  // namespace umdev::vfio_user::quirks
