// SPDX-License-Identifier: Apache-2.0
// Parameters of a model in training as the kernels want them: packed again, in place, whenever the values have changed.
// What only the backward pass reads is not kept: an operation makes it in the arena for the one after it.
#pragma once

#include <bit/backend/cpu/isa/backward_dispatch.hpp>
#include <bit/backend/cpu/packed_weights.hpp>
#include <bit/backend/trainable_parameters.hpp>
#include <bit/program/trainable_parameter.hpp>
#include <concepts>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// What a standardisation subtracts and multiplies by, per output channel; padded to whole panels with 0 and 1.
struct standardisation {
  std::vector<double> mean, scale;
};

/// What a packed kernel is for.
enum class kernel_use {
  forward,     ///< k over taps and input channels, columns are output channels
  head,        ///< as forward, in float
  transposed,  ///< back through a convolution: k over taps, turned by 180 degrees, and output channels
  stem,        ///< k over all of (h,w,i), no padding, in float
};

/// A kernel, and what its standardisation subtracts and multiplies by.
struct standardised_kernel {
  const trainable_parameter<float>* parameter;
  double eps;  ///< 0: as it is
  standardisation standard;
};

/// How a kernel becomes one of its packed forms.
struct packed_layout {
  const standardised_kernel* of = nullptr;
  kernel_use use = kernel_use::forward;
  weight_layout layout = weight_layout::direct;
  packing how = {};
  std::size_t panel_size = 0, panels = 0;  ///< numbers of a panel; how many panels
};

/// Packed parameters, at addresses that stay as long as this lives: plans request what they need once. The parameters
/// are float and stay so; convolutions' kernels are packed as T. One caller at a time.
template <class T>
class cpu_training_weights {
 public:
  /// `views` are of the CPU's memory and belong to `owner`, whose version says when their values have changed; operations
  /// keep the addresses of views.
  cpu_training_weights(std::span<const trainable_parameter<float>> views,
                       std::shared_ptr<const trainable_parameters<float>> owner, instruction_set isa);

  const microkernel_table<T>& microkernels() const { return *table_; }
  /// As wide as microkernels().
  const microkernel_table<float>& float_microkernels() const { return *float_table_; }
  const backward_microkernel_table& backward_microkernels() const { return *backward_; }
  const backward_map_microkernel_table<T>& backward_map_microkernels() const { return *backward_map_; }
  instruction_set isa() const { return isa_; }
  const trainable_parameter<float>& at(const named_tensor& tensor) const { return *parameters_.at(tensor.name); }

  /// A kernel (h,w,i,o) packed; eps of its standardisation, 0 for none. Valid after the next refresh().
  const packed_weights& kernel(const named_tensor& tensor, double eps, kernel_use use,
                               weight_layout layout = weight_layout::direct);
  /// The same for a caller that packs by itself, with pack(), after the next refresh().
  packed_layout layout_of(const named_tensor& tensor, double eps, kernel_use use, weight_layout layout);
  /// Makes a panel of a form, of T or, for the head and the stem, of float. `scratch`: layout_scratch() floats.
  void pack(const packed_layout& layout, std::size_t panel, void* to, float* scratch) const;
  /// Floats of a thread that pack() works in.
  std::size_t layout_scratch(const packed_layout& layout) const;
  /// A vector (c), zeros to a whole panel. Valid after the next refresh().
  const packed_weights& vector(const named_tensor& tensor);
  /// Of a kernel that has been requested. Valid after the next refresh().
  const standardisation& standardised(const named_tensor& tensor) const { return kernels_.at(tensor.name).standard; }

  /// Packs everything with all threads if the values have changed, or something was requested, since the last time.
  void refresh(std::size_t threads);
  /// Of all that has been requested, and of what refresh() works in.
  std::size_t bytes(std::size_t threads) const;

 private:
  struct kept_layout {
    packed_layout layout;
    packed_weights packed;
  };

  /// Whether the packed numbers are the taps in float.
  static bool plain(const packed_layout& f) {
    const bool in_float = std::same_as<T, float> || f.use == kernel_use::head || f.use == kernel_use::stem;
    return in_float && f.layout == weight_layout::direct;
  }
  void standardise(standardised_kernel& kernel, std::size_t panel) const;
  void pack_taps(const packed_layout& layout, std::size_t panel, float* to) const;
  std::size_t scratch_size() const;  ///< floats of a thread

  std::shared_ptr<const trainable_parameters<float>> owner_;
  instruction_set isa_;
  const microkernel_table<T>* table_;
  const microkernel_table<float>* float_table_;
  const backward_microkernel_table* backward_;
  const backward_map_microkernel_table<T>* backward_map_;
  std::unordered_map<std::string, const trainable_parameter<float>*> parameters_;
  std::unordered_map<std::string, standardised_kernel> kernels_;
  std::map<std::tuple<std::string, kernel_use, weight_layout>, kept_layout> kept_;
  std::unordered_map<std::string, packed_weights> vectors_;
  aligned_buffer<float> scratch_;
  bool fresh_ = false;                ///< but for changes of values
  std::uint64_t packed_version_ = 0;  ///< the owner's when all was packed
};

#if !BIT_HEADER_ONLY
extern template class cpu_training_weights<float>;
extern template class cpu_training_weights<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/training_weights.ipp>
#endif
