// SPDX-License-Identifier: Apache-2.0
// What a backend with memory of its own gives beside concept.hpp: runs on tensors that lie there, in the caller's queue.
// Nothing of backend/cpu includes this, and programs that use the CPU compile none of it.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/dtype.hpp>
#include <cstddef>
#include <span>

namespace bit::inline BIT_ABI {

/// A view of a batch of images, or of room for a result, in the memory of a device; it does not own it. A matrix (n,c)
/// has h = w = 1. The host never follows `data`; a run reads images and writes results only.
struct device_tensor {
  void* data = nullptr;  ///< address of element (0,0,0,0), as the device knows it
  dims4 dims;
  std::ptrdiff_t stride_n = 0, stride_c = 0, stride_h = 0, stride_w = 0;  ///< counted in elements
  dtype type = dtype::float32;
  int device = 0;  ///< the device's number; one that the model does not lie on is refused
};

/// Returns the view of a row-major batch on a device. Throws shape_error for more than max_elements elements.
inline device_tensor device_view_of(void* data, const dims4& d, layout order, dtype type = dtype::float32,
                                    int device = 0) {
  const auto host = view_of<std::byte>(nullptr, d, order);  // the strides alone
  return {data, d, host.stride_n, host.stride_c, host.stride_h, host.stride_w, type, device};
}

/// A backend whose plans can be put into a queue of the device, besides running on host memory as every plan does
/// (which copies the images in and the results out, and waits):
///  - queue: a handle, cheap to copy, of a queue that does its work one piece after the other (a CUDA stream).
///  - plan.enqueue(image, outputs, workspace, queue): puts the run into the queue and returns without waiting for it.
///    `outputs[i]` has the size of the i-th output. The caller keeps images and outputs until the queue has passed.
///
/// The model gives a workspace back as soon as enqueue() has returned, so:
///  - enqueue() on a workspace whose last run is still in another queue makes its own queue wait for that run first;
///  - destroying a workspace, a plan or weights whose work is still in a queue is safe: the destructor waits, or the
///    memory is freed in the queue's order.
///
/// What fails at once throws device_error from the call. What fails in the queue throws device_error from the caller's
/// next call that waits for the queue, or from the next enqueue().
template <class B>
concept device_backend = backend<B> &&
    requires(const typename B::plan& plan, const device_tensor& image, std::span<const device_tensor> outputs,
             typename B::workspace& memory, typename B::queue queue) {
  requires std::copy_constructible<typename B::queue>;
  { plan.enqueue(image, outputs, memory, queue) } -> std::same_as<void>;
};

}  // namespace bit::inline BIT_ABI
