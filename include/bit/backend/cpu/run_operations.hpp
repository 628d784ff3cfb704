// SPDX-License-Identifier: Apache-2.0
// The one loop that runs a plan's operations, of inference and of training, in a parallel region.
#pragma once

#include <omp.h>

#include <atomic>
#include <bit/backend/cpu/context.hpp>
#include <bit/backend/cpu/first_exception.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/backend/cpu/workspace_division.hpp>
#include <bit/error.hpp>
#include <memory>
#include <span>
#include <string>
#include <variant>

namespace bit::inline BIT_ABI::detail {

/// Scratch bytes that an operation needs for each thread.
template <class Operation>
std::size_t scratch_bytes_of(const Operation& operation) {
  return std::visit(
      [](const auto& o) -> std::size_t {
        if constexpr (requires { o.scratch_bytes(); }) return o.scratch_bytes();
        return 0;
      },
      operation);
}

/// Throws config_error if a run of `operations` would not fit the work queue's counters. Every operation bounds its
/// items for any number of threads by max_items().
template <class Operation>
void check_queue_limits(std::span<const Operation> operations) {
  if (operations.size() > work_stealing_queue::max_steps)
    throw config_error("[cpu] expected at most " + std::to_string(work_stealing_queue::max_steps) +
                       " operations of a plan, got " + std::to_string(operations.size()) + "; use fewer units");
  for (const Operation& operation : operations) {
    const std::size_t items = std::visit([](const auto& o) { return o.max_items(); }, operation);
    if (items > work_stealing_queue::max_items)
      throw config_error("[cpu] expected at most " + std::to_string(work_stealing_queue::max_items) +
                         " work items of an operation, got " + std::to_string(items) +
                         "; use fewer images a call or smaller ones");
  }
}

/// The weights that this thread will read first in `operation`, if they are known.
template <class Operation>
next_weights first_read(const Operation& operation, const run_context& run) {
  return std::visit(
      [&](const auto& o) {
        if constexpr (requires { o.first_read(run); })
          return o.first_read(run);
        else
          return next_weights{};
      },
      operation);
}

/// Runs the operations one after the other in one parallel region of `options.threads` threads, each in a copy of
/// `shared` with its own thread, scratch and queue filled in. `workspace` has division.bytes(options.threads) bytes.
/// Allocates nothing. Returns false if options.interrupted() returned true. An exception that it or an operation's
/// context.failure caught ends the run as an interrupt does, and is thrown here once all threads have left the region.
template <class Operation, class Context>
bool run_operations(std::span<const Operation> operations, const Context& shared, const workspace_division& division,
                    const aligned_buffer<std::byte>& workspace, const run_options& options) {
  std::span<work_slot> slots(reinterpret_cast<work_slot*>(workspace.data()), options.threads);
  std::uninitialized_default_construct(slots.begin(), slots.end());
  work_stealing_queue queue(slots);
  std::atomic<bool> stopped{false};
  first_exception failure;
  step_timer timer(options.step_seconds);
#pragma omp parallel num_threads(region_threads(options.threads))
  {
    Context context = shared;
    context.arena = division.arena(workspace, options.threads);
    context.thread = static_cast<std::size_t>(omp_get_thread_num());
    context.threads = static_cast<std::size_t>(omp_get_num_threads());
    context.scratch = context.arena + division.arena_bytes + context.thread * division.scratch_bytes;
    context.queue = &queue;
    context.failure = &failure;
    spin_policy waits;
    for (std::size_t i = 0; i < operations.size() && !stopped; ++i) {
      context.step = i + 1;
      Context then = context;
      ++then.step;
      context.next = i + 1 < operations.size() ? first_read(operations[i + 1], then) : next_weights{};
      std::visit([&](const auto& o) { o.run(context); }, operations[i]);
      // A thread that leaves early does so between two operations, so none waits for what another has not begun.
      if (context.thread == 0 && options.interrupted)
        failure.guard([&] {
          if (options.interrupted()) stopped = true;
        });
      if (failure.caught()) stopped = true;
      queue.wait(context.step, waits);
      timer.finished(i);
    }
  }
  failure.rethrow();
  return !stopped;
}

}  // namespace bit::inline BIT_ABI::detail
