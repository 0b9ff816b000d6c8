// An open file of the VFIO user API, as a file of the mount.
#pragma once

#include "umdev/uapi/file_table.h"
#include "umdev/uapi/program.h"

namespace umdev::uapi {

// Carries a program's calls to it. Thread-safe.
class OpenFile final : public fuse::File {
 public:
  // EBUSY: the inode has been opened already (by way of /proc/self/fd, which needs no name).
  static Result<std::shared_ptr<OpenFile>> create(std::shared_ptr<ioctl::File> file, fuse::NodeId inode,
                                                  FileTable& files, Programs& programs);
  ~OpenFile() override;

  // ^fuse::File
  void read(const fuse::Caller& caller, std::uint64_t offset, std::size_t size,
            Done<std::string> done) override;
  void write(const fuse::Caller& caller, std::uint64_t offset, ConstBytes from,
             Done<std::size_t> done) override;
  void ioctl(const fuse::Caller& caller, std::uint32_t command, std::uint64_t argument,
             Done<std::int32_t> done) override;
  bool is_stream() const override { return file_->is_stream(); }

 private:
  OpenFile(std::shared_ptr<ioctl::File> file, fuse::NodeId inode, FileTable& files, Programs& programs)
      : file_(std::move(file)), inode_(inode), files_(files), programs_(programs) {}

  const std::shared_ptr<ioctl::File> file_;
  const fuse::NodeId inode_;
  FileTable& files_;
  Programs& programs_;
};

}  // namespace umdev::uapi
