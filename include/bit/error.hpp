// SPDX-License-Identifier: Apache-2.0
// Exception types. Each message names what was expected, what came and, where it helps, what to do.
#pragma once

#include <bit/config.hpp>
#include <stdexcept>
#include <string>

namespace bit::inline BIT_ABI {

/// This is the base of everything that the library throws on purpose.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A tensor's shape or layout does not fit: `[op] expected ..., got ...`. Python: ValueError.
struct shape_error : error {
  using error::error;
};

/// An option or architecture that cannot be built or is not in this build. Python: ValueError.
struct config_error : error {
  using error::error;
};

/// The system refused to open, read, map, write or rename a file; the message names the path
/// and errno's text. Python: OSError.
struct io_error : error {
  io_error(const std::string& message, int number) : error(message), code(number) {}
  int code;  ///< the errno of the failing call
};

/// A file's content breaks the rules of its format; the message names the file, the tensor and the rule.
/// Python: ValueError.
struct format_error : error {
  using error::error;
};

/// The system gave less memory than a call needs; the message says how many bytes were needed for what.
/// Python: MemoryError.
struct memory_error : error {
  using error::error;
};

/// An accelerator failed or is not there, or was handed memory that it cannot use; the message names the operation.
/// Python: RuntimeError.
struct device_error : error {
  using error::error;
};

/// Numbers have left the finite range: the loss, a gradient, a parameter or logits are NaN or infinite.
/// Python: ArithmeticError.
struct diverged_error : error {
  using error::error;
};

/// Work was abandoned because the caller's `interrupted` function said so.
struct interrupted_error : error {
  using error::error;
};

}  // namespace bit::inline BIT_ABI
