#include "bench/peer.h"

#include <dlfcn.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "umdev/abi/vfio.h"
#include "umdev/os/thread.h"

namespace umdev::bench {
namespace {

// What of its interface is used, in our own words. A context and what it tells are only passed on. It
// promises no stable interface: this is the one in which set_up_dma takes a number of regions (2025 and
// later).
using Context = void;
using AccessCallback = ssize_t(Context*, char* data, std::size_t size, loff_t offset, bool is_write);
using DmaCallback = void(Context*, void* info);

constexpr int unix_socket = 0;
constexpr int pci_device = 0;
constexpr int conventional_pci = 0;
constexpr int usual_header = 0;
constexpr int read_and_write = 3;
constexpr std::size_t page = 4096;
constexpr std::size_t dma_regions_max = 1'000'000;  // its own default

ssize_t access(Context*, char* data, std::size_t size, loff_t, bool is_write) {
  if (!is_write) std::memset(data, 0, size);
  return static_cast<ssize_t>(size);
}
void ignore_dma(Context*, void*) {}

[[noreturn]] void give_up_on(const char* step) {
  give_up("UMDEV_PEER_LIB", Error{.code = errno, .text = step});
}

}  // namespace

class Peer::Library {
 public:
  explicit Library(const char* path) : handle_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) give_up_on("it cannot be loaded");
    find(create, "vfu_create_ctx");
    find(init_pci, "vfu_pci_init");
    find(set_up_region, "vfu_setup_region");
    find(set_up_dma, "vfu_setup_device_dma");
    find(realize, "vfu_realize_ctx");
    find(attach, "vfu_attach_ctx");
    find(run, "vfu_run_ctx");
    find(destroy, "vfu_destroy_ctx");
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { ::dlclose(handle_); }

  Context* (*create)(int transport, const char* path, int flags, void* own, int device_type) = nullptr;
  int (*init_pci)(Context*, int pci_type, int header_type, int revision) = nullptr;
  int (*set_up_region)(Context*, int index, std::size_t size, AccessCallback*, int flags, iovec* mapped,
                       std::uint32_t mapped_count, int fd, std::uint64_t offset) = nullptr;
  int (*set_up_dma)(Context*, std::size_t regions_max, DmaCallback* added, DmaCallback* removed) = nullptr;
  int (*realize)(Context*) = nullptr;
  int (*attach)(Context*) = nullptr;
  int (*run)(Context*) = nullptr;
  void (*destroy)(Context*) = nullptr;

 private:
  template <typename Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(::dlsym(handle_, name));
    if (function == nullptr) give_up_on(name);
  }

  void* const handle_;
};

std::unique_ptr<Peer> Peer::start(const Placement& placement) {
  const char* const path = std::getenv("UMDEV_PEER_LIB");
  if (path == nullptr || *path == '\0') return nullptr;
  std::unique_ptr<Peer> peer(new Peer(std::make_unique<Library>(path)));  // private
  place(peer->thread_, placement.far);
  return peer;
}

Peer::Peer(std::unique_ptr<Library> library) : library_(std::move(library)) {
  const std::string socket = directory_.path() + "/peer.sock";
  const Library& use = *library_;
  context_ = use.create(unix_socket, socket.c_str(), 0, nullptr, pci_device);
  if (context_ == nullptr) give_up_on("no context");
  if (use.init_pci(context_, conventional_pci, usual_header, 0) != 0) give_up_on("no PCI device");
  if (use.set_up_region(context_, abi::vfio_pci_bar0_region_index, page, access, read_and_write, nullptr, 0,
                        -1, 0) != 0)
    give_up_on("no region");
  if (use.set_up_dma(context_, dma_regions_max, ignore_dma, ignore_dma) != 0) give_up_on("no DMA");
  if (use.realize(context_) != 0) give_up_on("no device");
  thread_ = std::thread([this] {
    os::prefer_this_thread();
    // Both wait: for a client, and for its messages until it has gone.
    if (library_->attach(context_) == 0) library_->run(context_);
  });
  client_ = must(vfio_user::Client::connect(socket), "the peer's socket");
  must(client_->negotiate(), "the peer's VERSION");
}

Peer::~Peer() {
  client_.reset();
  thread_.join();
  library_->destroy(context_);
}

}  // namespace umdev::bench
