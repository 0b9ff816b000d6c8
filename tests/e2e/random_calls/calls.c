/* The commands of the user API, each with what its structure is made of. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/e2e/random_calls/random_calls.h"
#include "tests/uapi/structures.h"

enum { structure_max = 512, kvm_set_device_attr = 0x4018aee1 };

/* One letter a field, in order:
 *   s  32 bits: the size of what follows and of itself, as a rule
 *   f  32 bits of flags: one or two bits
 *   n  a small number of 32 bits      w  any 32 bits     h  any 16 bits
 *   d  a descriptor                   i  the number of an object or index
 *   q  any 64 bits                    v  an IOVA, a multiple of pages, as a rule
 *   l  a length, as a rule of pages   p  an address
 *   t  a tail of up to 64 words: descriptors, flags, numbers
 *   c  a text: the device's name, or what is nearly one
 *   N  no structure: a bare number    -  no argument */
struct command {
  unsigned number;
  const char* fields;
};

static const struct command commands[] = {
    {VFIO_GET_API_VERSION, "-"},
    {VFIO_CHECK_EXTENSION, "N"},
    {VFIO_SET_IOMMU, "N"},
    {VFIO_GROUP_GET_STATUS, "sf"},
    {VFIO_GROUP_SET_CONTAINER, "d"},
    {VFIO_GROUP_UNSET_CONTAINER, "-"},
    {VFIO_GROUP_GET_DEVICE_FD, "c"},
    {VFIO_DEVICE_GET_INFO, "sfnnnn"},
    {VFIO_DEVICE_GET_REGION_INFO, "sfinqqt"},
    {VFIO_DEVICE_GET_IRQ_INFO, "sfin"},
    {VFIO_DEVICE_SET_IRQS, "sfinnt"},
    {VFIO_DEVICE_SET_IRQS, "sfinnt"},
    {VFIO_DEVICE_RESET, "-"},
    {VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, "sfnt"},
    {VFIO_DEVICE_PCI_HOT_RESET, "snnt"},
    {CMD(14), "snnnnnnnnn"}, /* QUERY_GFX_PLANE */
    {CMD(15), "i"},          /* GET_GFX_DMABUF */
    {VFIO_DEVICE_IOEVENTFD, "snqqdn"},
    {VFIO_DEVICE_FEATURE, "sFt"},
    {VFIO_DEVICE_FEATURE, "sFnd"},
    {VFIO_DEVICE_FEATURE, "sFqlqp"},
    {VFIO_IOMMU_GET_INFO, "sfqt"},
    {VFIO_IOMMU_MAP_DMA, "snpvl"},
    {VFIO_IOMMU_MAP_DMA, "snpvl"},
    {VFIO_IOMMU_UNMAP_DMA, "sfvl"},
    {VFIO_IOMMU_UNMAP_DMA, "snvlqlp"},
    {VFIO_IOMMU_DIRTY_PAGES, "sf"},
    {VFIO_IOMMU_DIRTY_PAGES, "snvlqlp"},
    {bind_iommufd, "sfdnp"},
    {attach_iommufd_pt, "sfin"},
    {detach_iommufd_pt, "sfn"},
    {mig_get_precopy_info, "sfqq"},
    {iommu_destroy, "si"},
    {ioas_alloc, "sfn"},
    {ioas_allow_iovas, "sinnp"},
    {ioas_copy,
     "snii"
     "lvv"},
    {ioas_iova_ranges, "sinnpq"},
    {ioas_map,
     "sninpl"
     "v"},
    {ioas_map,
     "sninpl"
     "v"},
    {ioas_unmap, "sivl"},
    {iommu_option, "snhhiq"},
    {vfio_ioas, "sihh"},
    {hwpt_alloc, "sfiinnnnpn"},
    {IOMMUFD(10), "sfiipnn"}, /* GET_HW_INFO */
    {IOMMUFD(15), "snidqlv"}, /* IOAS_MAP_FILE */
    {IOMMUFD(18), "sf"},      /* IOAS_CHANGE_PROCESS */
    {kvm_set_device_attr, "fnqp"},
};

struct structure {
  char bytes[structure_max];
  size_t size;
};

static void put(struct structure* structure, uint64_t value, size_t size) {
  memcpy(structure->bytes + structure->size, &value, size);
  structure->size += size;
}

static uint64_t some_length(void) {
  return seldom(8) ? some_number() : (1 + (uint64_t)pick(16)) * 4096;
}

static uint64_t some_iova(void) {
  return seldom(8) ? some_number() : (uint64_t)pick(256) * 4096;
}

static uint32_t some_flags(void) {
  return seldom(8) ? (uint32_t)chance() : (1u << pick(8)) | (seldom(2) ? 1u << pick(6) : 0);
}

/* Mostly a feature that there is, with one of GET, SET and PROBE. */
static uint32_t some_feature(void) {
  return seldom(8) ? (uint32_t)chance() : pick(14) | (1u << (16 + pick(3)));
}

static void put_name(struct structure* structure, const struct names* names) {
  static const char* const endings[] = {"",  "", "", " vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
                                        " ", "x"};
  structure->size = (size_t)snprintf(structure->bytes, sizeof structure->bytes, "%s%s", names->device,
                                     endings[pick(sizeof endings / sizeof *endings)]) +
                    1;
  if (seldom(8)) structure->size = structure_max; /* and what lies behind it */
}

static void put_field(struct structure* structure, char field, const struct names* names) {
  switch (field) {
    case 'c':
      return put_name(structure, names);
    case 'd':
      return put(structure, (uint32_t)some_fd(), 4);
    case 'f':
      return put(structure, some_flags(), 4);
    case 'F':
      return put(structure, some_feature(), 4);
    case 'h':
      return put(structure, seldom(4) ? chance() : pick(3), 2);
    case 'i':
      return put(structure, seldom(8) ? chance() : pick(9), 4);
    case 'n':
      return put(structure, seldom(6) ? some_number() : pick(8), 4);
    case 't':
      for (unsigned left = pick(16); left > 0; --left)
        put(structure, pick(2) == 0 ? (uint64_t)some_fd() : pick(2) == 0 ? 0 : some_number(), 4);
      return;
    case 's':
    case 'w':
      return put(structure, chance(), 4);
    case 'l':
      return put(structure, some_length(), 8);
    case 'v':
      return put(structure, some_iova(), 8);
    case 'p':
      return put(structure, some_address(), 8);
    default:
      return put(structure, some_number(), 8);
  }
}

static struct structure make(const char* fields, const struct names* names) {
  struct structure structure = {.size = 0};
  for (const char* field = fields; *field != 0; ++field) put_field(&structure, *field, names);
  if (fields[0] != 's') return structure;
  const uint32_t size =
      seldom(8) ? (uint32_t)some_number() : (uint32_t)structure.size + 4 * (seldom(8) ? 1 : 0);
  memcpy(structure.bytes, &size, sizeof size);
  return structure;
}

/* A stream of a migration's, where one came back. */
static void keep_data_fd(const char* argument) {
  struct {
    uint32_t argsz, flags, state;
    int32_t fd;
  } feature;
  memcpy(&feature, argument, sizeof feature);
  if ((feature.flags & 0xffff) == 2 && feature.fd > 2) keep_fd(feature.fd);
}

void call_something(const struct names* names) {
  const struct command* command = &commands[pick(sizeof commands / sizeof *commands)];
  const unsigned number = seldom(64) ? (unsigned)(CMD(0) + pick(64)) : command->number;
  const int fd = some_fd();
  long answer;
  if (command->fields[0] == '-') {
    answer = ioctl(fd, number);
  } else if (command->fields[0] == 'N') {
    answer = ioctl(fd, number, some_number());
  } else {
    const struct structure structure = make(command->fields, names);
    void* argument = good_argument(structure_max);
    memcpy(argument, structure.bytes, structure.size);
    answer = ioctl(fd, number, seldom(4) ? some_argument(structure.size) : argument);
    if (number == VFIO_DEVICE_FEATURE && answer == 0) keep_data_fd(argument);
  }
  if (number == VFIO_GROUP_GET_DEVICE_FD) keep_fd(answer);
  if (number == VFIO_DEVICE_FEATURE && answer > 2) keep_fd(answer);
}
