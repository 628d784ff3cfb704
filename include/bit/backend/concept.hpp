// What a backend must give to run the network: this list is all there is to a backend.
#pragma once

#include <bit/backend/freeze_options.hpp>
#include <bit/backend/report.hpp>
#include <bit/backend/run.hpp>
#include <bit/program/memory_plan.hpp>
#include <concepts>
#include <memory>
#include <span>

namespace bit::inline v0 {

/// A backend: the type of numbers, prepared parameters, and programs compiled for one input shape.
///  - constants(program, options): reads, standardises and lays out every constant; immutable afterwards.
///  - plan(program, constants): decides buffers and splits for one shape; immutable afterwards.
///  - constants->predicted_seconds(program): of one run, by a cost model that depends on shapes alone.
///  - threads(requested): how many threads a run will use; 0 asks for the backend's own choice.
///  - plan.report(program): algorithm and bytes of each step; `program` is the one it was made of.
///  - plan.run(image, outputs, workspace, options): runs it; returns false if it was interrupted.
template <class B>
concept backend = requires(const program& p, const freeze_options& choices,
                           std::shared_ptr<const typename B::weights> weights, const typename B::plan& plan,
                           const image_view<typename B::value_type>& image,
                           std::span<typename B::value_type* const> outputs, typename B::workspace& memory,
                           const run_options& options, std::size_t threads) {
  requires std::constructible_from<typename B::weights, const program&, const freeze_options&>;
  requires std::constructible_from<typename B::plan, const program&, std::shared_ptr<const typename B::weights>>;
  requires std::constructible_from<typename B::workspace, std::size_t>;
  { B::threads(threads) } -> std::same_as<std::size_t>;
  { weights->bytes() } -> std::same_as<std::size_t>;
  { weights->predicted_seconds(p) } -> std::same_as<double>;
  { plan.workspace_bytes(threads) } -> std::same_as<std::size_t>;
  { plan.memory() } -> std::convertible_to<const memory_plan&>;
  { plan.report(p) } -> std::same_as<std::vector<step_profile>>;
  { plan.run(image, outputs, memory, options) } -> std::same_as<bool>;
};

}  // namespace bit::inline v0
