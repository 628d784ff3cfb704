// Bodies of backend/cpu/training.hpp.
#pragma once

#include <omp.h>

#include <atomic>
#include <bit/backend/cpu/threads.hpp>
#include <bit/backend/cpu/training.hpp>
#include <bit/backend/cpu/training_builder.ipp>
#include <bit/error.hpp>
#include <memory>
#include <string>

namespace bit::inline v0::detail {

template <class T>
cpu_training_plan<T>::cpu_training_plan(const training_program& p, std::shared_ptr<cpu_training_weights<T>> weights)
    : weights_(std::move(weights)) {
  cpu_training_builder<T>(p, *this).build();
  if (operations_.size() > work_stealing_queue::max_steps)
    throw config_error("[cpu] expected at most " + std::to_string(work_stealing_queue::max_steps) +
                       " operations, got " + std::to_string(operations_.size()) + "; use fewer units");
}

template <class T>
bool cpu_training_plan<T>::run(std::span<const operation> operations, const training_context& shared,
                               const workspace& memory, const run_options& options) const {
  std::span<work_slot> slots(reinterpret_cast<work_slot*>(memory.data()), options.threads);
  std::uninitialized_default_construct(slots.begin(), slots.end());
  work_stealing_queue queue(slots);
  std::atomic<bool> stopped{false};
  step_timer timer(options.step_seconds);
#pragma omp parallel num_threads(region_threads(options.threads))
  {
    training_context context = shared;
    context.arena = memory.data() + slots.size_bytes();
    context.thread = static_cast<std::size_t>(omp_get_thread_num());
    context.threads = static_cast<std::size_t>(omp_get_num_threads());
    context.scratch = context.arena + arena_bytes_ + context.thread * scratch_bytes_;
    context.queue = &queue;
    spin_policy waits;
    for (std::size_t i = 0; i < operations.size() && !stopped; ++i) {
      context.step = i + 1;
      std::visit([&](const auto& o) { o.run(context); }, operations[i]);
      // Whoever leaves early does so between two items, so nobody waits for what it has not begun.
      if (context.thread == 0 && options.interrupted && options.interrupted()) stopped = true;
      queue.wait(context.step, waits);
      timer.finished(i);
    }
  }
  return !stopped;
}

template <class T>
bool cpu_training_plan<T>::forward(const image_view<float>& image, float* logits, const workspace& memory,
                                   const run_options& options) {
  weights_->refresh(options.threads);
  training_context context{};
  context.image = image;
  if (!run({operations_.data(), forward_operations_}, context, memory, options)) return false;
  const std::byte* arena = memory.data() + options.threads * sizeof(work_slot);
  const float* table = reinterpret_cast<const float*>(arena + logits_.offset);  // [classes/16][images][16]
  for (std::size_t n = 0; n < images_; ++n)
    for (std::size_t k = 0; k < classes_; ++k)
      logits[n * classes_ + k] = table[(k / block * images_ + n) * block + k % block];
  return true;
}

template <class T>
bool cpu_training_plan<T>::backward(const image_view<float>& image, const float* dlogits, double scale,
                                    std::span<float> image_gradient, const workspace& memory,
                                    const run_options& options) {
  training_context context{};
  context.image = image;
  context.dlogits = dlogits;
  context.scale = scale;
  context.dimage = image_gradient.empty() ? nullptr : image_gradient.data();
  return run(std::span<const operation>(operations_).subspan(forward_operations_), context, memory, options);
}

}  // namespace bit::inline v0::detail
