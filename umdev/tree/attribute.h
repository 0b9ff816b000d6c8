// What stands behind an attribute file: a function that shows it and one that stores into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"
#include "umdev/support/error.h"
#include "umdev/support/inline_function.h"

namespace umdev::tree {

// Permission bits (0 .. 07777).
using Mode = std::uint16_t;

// Every attribute has this size in a listing, and no store is given more.
inline constexpr std::size_t attribute_size = 4096;
// What a show may give at most: sysfs lends it one page, the last byte of which is a NUL.
inline constexpr std::size_t show_limit = attribute_size - 1;

// Who writes: the process that a door speaks for. This program itself when nobody says otherwise.
struct Writer {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;  // 0: this program, or one that cannot be seen from here
};

class BinaryAttribute;

// The behaviour of one attribute. Derive from it where thousands of instances carry the same attribute, to
// keep each of them small; text_attribute() and function_attribute() make the simple ones.
//
// Threads: show and store may run at the same time, on several threads, with no lock held. Neither is called
// after the removal of its node has completed; the object is destroyed by then (or, where an attribute
// removes itself, when that call returns).
class Attribute {
 public:
  virtual ~Attribute() = default;

  // The whole text. EIO unless overridden (what the kernel answers where there is no show).
  virtual Result<std::string> show();

  // Completes with the number of bytes taken (as a rule text.size()), inline or later. `text` is never empty,
  // has at most attribute_size bytes, and is valid until store returns. A store that completes later keeps
  // alive itself what it needs: the tree only vouches for the time of the call. EIO unless overridden.
  virtual void store(std::string_view text, Done<std::size_t> done);
  // The same, told who writes. What the tree calls; store() unless overridden.
  virtual void store_from(const Writer& writer, std::string_view text, Done<std::size_t> done);

  // Itself when it is binary: then the tree calls read() and write() instead of show() and store().
  virtual BinaryAttribute* as_binary() { return nullptr; }
};

// An attribute that is bytes at offsets, of any size, and not a text: a PCI function's `config`, the kernel's
// struct bin_attribute. Threads and lifetime as Attribute's.
class BinaryAttribute : public Attribute {
 public:
  // st_size, asked once, when the attribute is added. 0: it has no fixed end, and read and write answer for
  // themselves what lies where.
  virtual std::uint64_t size() const = 0;
  // How many bytes it gave, less only at the end. `into` lies within size(), unless that is 0, and is not
  // empty. EIO unless overridden.
  virtual Result<std::size_t> read(std::uint64_t offset, Bytes into);
  // As store(), of bytes that lie within size(), unless that is 0. EIO unless overridden.
  virtual void write(const Writer& writer, std::uint64_t offset, ConstBytes from, Done<std::size_t> done);

  BinaryAttribute* as_binary() final { return this; }
};

using Show = InlineFunction<Result<std::string>(), 32>;
using Store = InlineFunction<void(std::string_view, Done<std::size_t>), 32>;

// An attribute that always shows the same text (say the newline yourself).
std::unique_ptr<Attribute> text_attribute(std::string text);
// An attribute of two functions, either of which may be empty (EIO).
std::unique_ptr<Attribute> function_attribute(Show show, Store store = {});

// An attribute to be added.
struct AttributeSpec {
  std::string name;
  Mode mode = 0444;
  std::unique_ptr<Attribute> attribute;
  // Asked once, when the attribute is added, with no lock held: the mode it shall have, 0 to leave it out.
  // The kernel's is_visible.
  InlineFunction<Mode(), 16> is_visible = {};
};

}  // namespace umdev::tree
