// SPDX-License-Identifier: Apache-2.0
// All operations that a training program may be compiled into, and the program once that is done.
#pragma once

#include <bit/backend/cpu.hpp>
#include <bit/backend/cpu/backward_weights_pairs.hpp>
#include <bit/backend/cpu/export_operation.hpp>
#include <bit/backend/cpu/head_backward.hpp>
#include <bit/backend/cpu/import_operation.hpp>
#include <bit/backend/cpu/norm_backward.hpp>
#include <bit/backend/cpu/pack_operation.hpp>
#include <bit/backend/cpu/stem_backward.hpp>
#include <bit/backend/cpu/transposed_kernel.hpp>
#include <bit/backend/cpu/workspace_division.hpp>
#include <bit/backend/gradient_tap.hpp>
#include <bit/program/backward.hpp>
#include <concepts>
#include <type_traits>
#include <variant>

namespace bit::inline BIT_ABI::detail {

template <class T, class... More>
using training_operation_with =
    std::variant<stem_operation<T>, conv_operation<T>, winograd_operation<T>, pool_operation<T>, mean_operation,
                 head_operation<float>, export_operation<T>, import_operation<T>, pack_operation<T>,
                 read_values_operation, measure_kernel_operation<T>, pack_transposed_operation<T>,
                 zero_insertion_operation<T>, scatter_operation<T>, norm_backward_operation<T>,
                 norm_parameters_operation, backward_weights_operation<T>, standardise_backward_operation,
                 max_pool_backward_operation<T>, stem_backward_weights_operation, image_backward_operation,
                 head_backward_operation, mean_backward_operation<T>, More...>;

/// In bfloat16 the classifier of a frozen model, and contractions of pairs, come on top.
template <class T>
using training_operation =
    std::conditional_t<std::same_as<T, float>, training_operation_with<T>,
                       training_operation_with<T, head_operation<bfloat16>, backward_weights_pairs_operation>>;

/// A training program compiled for one shape. It is immutable; a workspace serves one run at a time.
template <class T>
struct compiled_training {
  using workspace = aligned_buffer<std::byte>;

  std::vector<training_operation<T>> operations;
  std::size_t forward_operations = 0;  ///< how many of them are the forward pass
  feature_map_ref logits;              ///< if they are what the pass begins with alone
  std::size_t images = 0, classes = 0;
  std::optional<std::size_t> logits_output = {};  ///< their place among the outputs, of a pass from outputs
  std::vector<value_id> taps;                     ///< as training_program::taps
  memory_plan memory;
  workspace_division division;

  /// Runs the forward pass and writes the logits (n,classes), row-major. Returns false if it was interrupted.
  bool run_forward(const image_view<float>& image, float* to, const workspace& memory_of_run,
                   const run_options& options) const;
  /// Runs the forward pass of a program from outputs and writes them: matrices (n,c), row-major, feature maps in
  /// options.output_layout; nothing where an address is null. Returns false if it was interrupted.
  bool run_forward_to_outputs(const image_view<float>& image, std::span<float* const> to,
                              const workspace& memory_of_run, const run_options& options) const;
  /// Runs its backward pass; `from` are the gradients of the outputs, as they are written.
  bool run_backward_from_outputs(const image_view<float>& image, std::span<const float* const> from, double scale,
                                 std::span<const gradient_tap<float>> wanted, const workspace& memory_of_run,
                                 const run_options& options) const;
  /// Runs the backward pass in the workspace as the forward pass left it; see training_of.
  bool run_backward(const image_view<float>& image, const float* dlogits, double scale,
                    std::span<const gradient_tap<float>> wanted, const workspace& memory_of_run,
                    const run_options& options) const;

 private:
  bool run_backward_in(training_context& context, std::span<const gradient_tap<float>> wanted,
                       const workspace& memory_of_run, const run_options& options) const;
};

#if !BIT_HEADER_ONLY
extern template struct compiled_training<float>;
extern template struct compiled_training<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/training_operation.ipp>
#endif
