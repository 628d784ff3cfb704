// SPDX-License-Identifier: Apache-2.0
// What compiling a program for inference and compiling one for training share: where values lie, and the operations of
// the forward steps.
#pragma once

#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/export_operation.hpp>
#include <bit/backend/cpu/pool.hpp>
#include <bit/backend/cpu/run_operations.hpp>
#include <bit/backend/cpu/stem.hpp>
#include <bit/backend/cpu/winograd.hpp>
#include <bit/error.hpp>
#include <bit/program/memory_plan.hpp>
#include <utility>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// Compiles steps into operations, in two passes: statistics and scratch arrays have sizes once the operations that
/// write them have been cut into spatial tiles, and addresses once all sizes are known. Feature maps
/// are of the format T's type but for those that `in_float` names.
///
/// `Builder` derives from this and gives
///  - compile(): visits all steps in order;
///  - microkernels(): the instruction set's table for T;
///  - kernel(id, eps, layout), stem_kernel(id, eps): packed kernels; vector(id): a packed vector;
///  - forward_layout(conv_step): the layout that a 3x3 kernel of stride 1 takes;
///  - keeps_stem_in_float: whether the stem's map before its pool is in float whatever T is;
///  - an overload for head_step.
template <class T, class Operation, class Builder>
class cpu_plan_builder_base {
 public:
  cpu_plan_builder_base(const program& compiled, std::vector<Operation>& into)
      : p(compiled), operations(into), maps(p.values.size()), sums(p.values.size()), in_float(p.values.size()) {
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      const dims4& d = value.dims;
      if (value.kind == value_kind::feature_map) maps[v] = {0, blocks_of(d.c), d.h, d.w};
      if (value.kind == value_kind::matrix) maps[v] = {0, blocks_of(d.c), 1, d.n};
    }
  }

  /// Both passes; fills in where values lie, and returns how a run divides its workspace. `elsewhere` lies in memory of
  /// the caller's. Throws config_error for a step without an operation here and for more work than the queue counts.
  workspace_division build(memory_plan& memory, const std::optional<value_id>& elsewhere = {}) {
    compile_pass();
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      if (value.kind == value_kind::feature_map)
        bytes[v] = value.dims.n * maps[v].image_size() * (in_float[v] ? sizeof(float) : sizeof(feature_map_of<T>));
      if (value.kind == value_kind::matrix) bytes[v] = maps[v].image_size() * sizeof(float);
      if (value.kind == value_kind::statistics) bytes[v] = value.dims.n * sums[v].image_size() * sizeof(double);
    }
    if (elsewhere) bytes[static_cast<std::size_t>(*elsewhere)] = 0;
    memory = plan_memory(flow, p.outputs, bytes);
    offsets = memory.offsets;
    for (std::size_t v = 0; v < p.values.size(); ++v)
      if (offsets[v] != memory_plan::not_stored) maps[v].offset = sums[v].offset = offsets[v];
    compile_pass();
    check_queue_limits<Operation>(operations);
    workspace_division division{memory.total, 0};
    for (const Operation& operation : operations)
      division.scratch_bytes = std::max(division.scratch_bytes, scratch_bytes_of(operation));
    division.scratch_bytes = (division.scratch_bytes + 63) / 64 * 64;
    return division;
  }

  void operator()(const stem_step& s) {
    stem_operation<T> op(self().microkernels(), self().stem_kernel(s.kernel, s.weight_eps), s.window, p[s.image].dims,
                         map(s.y), optional_map(s.unpooled));
    if constexpr (Builder::keeps_stem_in_float) {
      op.keep_float();
      if (s.unpooled) in_float[static_cast<std::size_t>(*s.unpooled)] = true;
    }
    statistics(op, s.statistics, s.y);
    emit(std::move(op), values_of(s));
  }
  void operator()(const conv_step& s) {
    const weight_layout layout = winograd_applies(s) ? self().forward_layout(s) : weight_layout::direct;
    if (layout != weight_layout::direct) {
      winograd_operation<T> op(self().microkernels(), images(s.y), map(s.y), input(s.main, layout), tile_of(layout));
      statistics(op, s.statistics, s.y);
      return emit(std::move(op), values_of(s));
    }
    conv_operation<T> op(self().microkernels(), images(s.y), map(s.y), input(s.main));
    if (s.projection) {
      if (s.main.window.size != 1 || s.projection->window.size != 1)
        throw config_error("[cpu] expected a 1x1 projection beside a 1x1 convolution, got " + p[s.main.kernel].name);
      op.add_projection(input(*s.projection));
    }
    if (s.residual) op.add_residual(map(*s.residual));
    statistics(op, s.statistics, s.y);
    emit(std::move(op), values_of(s));
  }
  void operator()(const pool_step& s) {
    emit(pool_operation<T>{&self().microkernels(), images(s.x), map(s.x), optional_map(s.features), map(s.pooled),
                           norm(s.input)},
         values_of(s));
  }
  void operator()(const mean_step& s) { emit(mean_operation{p[s.image].dims, map(s.y)}, values_of(s)); }

 protected:
  Builder& self() { return static_cast<Builder&>(*this); }

  const feature_map_ref& map(value_id id) const { return maps[static_cast<std::size_t>(id)]; }
  feature_map_ref optional_map(const std::optional<value_id>& id) const { return id ? map(*id) : feature_map_ref{}; }
  std::size_t images(value_id id) const { return p[id].dims.n; }
  static std::size_t tile_of(weight_layout layout) { return layout == weight_layout::winograd_2x2 ? 2 : 4; }

  /// An array of the backend's own, the same one in both passes, and the number under which `flow` knows it.
  std::pair<value_id, array_ref> array(std::size_t size) {
    const std::size_t id = p.values.size() + arrays++;
    if (bytes.size() == id) bytes.push_back(size);
    return {value_id{id}, {offsets.empty() ? 0 : offsets[id]}};
  }
  /// A feature map of the backend's own.
  std::pair<value_id, feature_map_ref> own_map(const dims4& d) {
    feature_map_ref place{0, blocks_of(d.c), d.h, d.w};
    const auto [id, at] = array(d.n * place.image_size() * sizeof(feature_map_of<T>));
    place.offset = at.offset;
    return {id, place};
  }

  template <class One>
  void emit(One operation, step_values values) {
    operations.push_back(std::move(operation));
    flow.push_back(std::move(values));
  }
  static step_values touching(std::vector<value_id> reads, std::vector<value_id> writes) {
    return {std::move(reads), std::move(writes), {}, {}};
  }
  /// What copies a value to the caller's address number `output`.
  export_operation<feature_map_of<T>> export_of(value_id id, std::size_t output) const {
    const value& v = p[id];
    const bool matrix = v.kind == value_kind::matrix;
    return {map(id), matrix || in_float[static_cast<std::size_t>(id)], matrix, v.dims.n, v.dims.c, output};
  }

  norm_ref norm(const norm_relu& n) {
    return {sums[static_cast<std::size_t>(n.statistics)], self().vector(n.gamma).template panel<float>(0),
            self().vector(n.beta).template panel<float>(0), n.eps};
  }
  conv_input input(const conv_source& s, weight_layout layout = weight_layout::direct) {
    if (s.window.size > 3) throw config_error("[cpu] expected a 1x1 or 3x3 convolution, got " + p[s.kernel].name);
    return {map(s.x), norm(s.input), self().kernel(s.kernel, s.weight_eps, layout), s.window};
  }
  /// Fixes where the statistics of map `of` go, once the operation that writes it knows its spatial tiles.
  template <class One>
  void statistics(One& operation, const std::optional<value_id>& id, value_id of) {
    if (!id) return;
    statistics_ref& place = sums[static_cast<std::size_t>(*id)];
    place = {place.offset, operation.spatial_tiles(), map(of).blocks, p[*id].dims.c, p[of].dims.c, map(of).pixels()};
    operation.add_statistics(place);
  }

  const program& p;
  std::vector<Operation>& operations;
  std::vector<feature_map_ref> maps;  ///< per value
  std::vector<statistics_ref> sums;   ///< per value
  std::vector<bool> in_float;         ///< per value
  std::vector<std::size_t> bytes;     ///< per value, then per array of the backend's own
  std::vector<std::size_t> offsets;   ///< as bytes; empty in the first pass
  std::vector<step_values> flow;      ///< per operation
  std::size_t arrays = 0;             ///< made in this pass

 private:
  void compile_pass() {
    operations.clear();
    flow.clear();
    arrays = 0;
    bytes.resize(std::max(bytes.size(), p.values.size()));
    self().compile();
  }
};

/// The packed weights of a frozen model for a plan that is being made: the plan shares what it reads.
template <class T>
class frozen_weights_source {
 public:
  frozen_weights_source(const program& compiled, const cpu_weights<T>& weights,
                        std::vector<std::shared_ptr<const packed_weights>>& into)
      : p_(compiled), weights_(weights), packed_(into) {
    std::vector<wanted_layout> wanted;  // kernels that have several layouts are packed in one reading of the tensors
    for (const step& s : compiled.steps)
      if (const conv_step* conv = convolution_of(s); conv && winograd_applies(*conv))
        wanted.push_back({&compiled[conv->main.kernel], layout_of(*conv)});
    packed_ = weights.prepare(wanted);
  }

  const packed_weights& get(parameter_id id, weight_layout layout = weight_layout::direct) {
    packed_.push_back(weights_.at(p_[id], layout));
    return *packed_.back();
  }
  /// The layout of a step's 3x3 kernel, by the cost model and the algorithm that the model was frozen with.
  weight_layout layout_of(const conv_step& s) const {
    const dims4 &x = p_[s.main.x].dims, &y = p_[s.y].dims;
    return choose_weight_layout({x.n, x.h, x.w, x.c, y.c}, weights_.options().algorithm, weights_.microkernels());
  }

 private:
  const program& p_;
  const cpu_weights<T>& weights_;
  std::vector<std::shared_ptr<const packed_weights>>& packed_;
};

}  // namespace bit::inline BIT_ABI::detail
