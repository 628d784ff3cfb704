// SPDX-License-Identifier: Apache-2.0
// What a backend must give to run the network: this list is all there is to a backend.
#pragma once

#include <bit/backend/freeze_options.hpp>
#include <bit/backend/report.hpp>
#include <bit/backend/run.hpp>
#include <bit/program/memory_plan.hpp>
#include <concepts>
#include <memory>
#include <span>

namespace bit::inline BIT_ABI {

/// A backend gives the type of numbers, prepared weights, and programs compiled for one input shape. Distinct threads
/// may make weights, plans and workspaces, and run plans, at the same time.
///  - map_bytes is the size of one value of a feature map in memory.
///  - largest_batch, a power of two, is the number of images per call beyond which more bring nothing.
///  - memory_bytes() is all memory that feature maps could ever lie in; what needs more is refused before it is
///    planned.
///  - weights(program, options) reads, standardises and lays out every parameter; it is immutable afterwards. With
///    options.keep_values no tensor is read after that.
///  - plan(program, weights) decides buffers and splits for one shape; it is immutable afterwards.
///  - weights->predicted_seconds(program) is the time of one run by a cost model that depends on shapes alone.
///  - threads(requested) is the number of threads that a run will use; 0 leaves the choice to the backend.
///  - plan.report(program) lists the algorithm and bytes of each step; `program` is the one that the plan was made of.
///  - plan.run(image, outputs, workspace, options) runs the plan, and returns false if it was interrupted.
template <class B>
concept backend = requires(const program& p, const freeze_options& choices,
                           std::shared_ptr<const typename B::weights> weights, const typename B::plan& plan,
                           const image_view<typename B::value_type>& image,
                           std::span<typename B::value_type* const> outputs, typename B::workspace& memory,
                           const run_options& options, std::size_t threads) {
  requires std::constructible_from<typename B::weights, const program&, const freeze_options&>;
  requires std::constructible_from<typename B::plan, const program&, std::shared_ptr<const typename B::weights>>;
  requires std::constructible_from<typename B::workspace, std::size_t>;
  { B::map_bytes } -> std::convertible_to<std::size_t>;
  { B::largest_batch } -> std::convertible_to<std::size_t>;
  { B::memory_bytes() } -> std::same_as<std::size_t>;
  { B::threads(threads) } -> std::same_as<std::size_t>;
  { weights->bytes() } -> std::same_as<std::size_t>;
  { weights->predicted_seconds(p) } -> std::same_as<double>;
  { plan.workspace_bytes(threads) } -> std::same_as<std::size_t>;
  { plan.memory() } -> std::convertible_to<const memory_plan&>;
  { plan.report(p) } -> std::same_as<std::vector<step_profile>>;
  { plan.run(image, outputs, memory, options) } -> std::same_as<bool>;
};

}  // namespace bit::inline BIT_ABI
