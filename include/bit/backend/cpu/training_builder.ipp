// Compiles a training program for the CPU: the forward pass as plan.ipp does, each adjoint step into one to three
// operations. Included by training.ipp.
#pragma once

#include <bit/backend/cpu/training.hpp>
#include <bit/error.hpp>

namespace bit::inline v0::detail {

/// Two passes, as for inference: chunks, hence sizes, are known after the first, addresses in the second. Maps are of
/// type T but for those of the stem before its pool.
template <class T>
struct cpu_training_builder {
  const training_program& training;
  const program& p;
  cpu_training_weights<T>& weights;
  cpu_training_plan<T>& plan;
  std::vector<feature_map_ref> maps;  ///< per value
  std::vector<statistics_ref> sums;   ///< per value
  std::vector<std::size_t> bytes;     ///< per value, then per array of this backend's own
  std::vector<std::size_t> offsets;   ///< the same; empty in the first pass
  std::vector<bool> in_float;         ///< per value, for maps whatever T is
  std::vector<step_values> flow;      ///< per operation
  std::size_t arrays = 0;             ///< made in this pass

  cpu_training_builder(const training_program& program, cpu_training_plan<T>& target)
      : training(program),
        p(program.forward),
        weights(*target.weights_),
        plan(target),
        maps(p.values.size()),
        sums(p.values.size()),
        in_float(p.values.size()) {
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      const dims4& d = value.dims;
      if (value.kind == value_kind::feature_map) maps[v] = {0, blocks_of(d.c), d.h, d.w};
      if (value.kind == value_kind::matrix) maps[v] = {0, blocks_of(d.c), 1, d.n};
    }
  }

  void build() {
    compile();
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      if (value.kind == value_kind::feature_map)
        bytes[v] = value.dims.n * maps[v].image_size() * (in_float[v] ? sizeof(float) : sizeof(T));
      if (value.kind == value_kind::matrix) bytes[v] = maps[v].image_size() * sizeof(float);
      if (value.kind == value_kind::statistics) bytes[v] = value.dims.n * sums[v].image_size() * sizeof(double);
    }
    if (training.logits_gradient) bytes[static_cast<std::size_t>(*training.logits_gradient)] = 0;  // the caller's
    plan.memory_ = plan_memory(flow, p.outputs, bytes);
    offsets = plan.memory_.offsets;
    for (std::size_t v = 0; v < p.values.size(); ++v)
      if (offsets[v] != memory_plan::not_stored) maps[v].offset = sums[v].offset = offsets[v];
    compile();
    plan.arena_bytes_ = plan.memory_.total;
    for (const auto& op : plan.operations_)
      plan.scratch_bytes_ = std::max(plan.scratch_bytes_, std::visit([](const auto& o) { return bytes_of(o); }, op));
    plan.scratch_bytes_ = (plan.scratch_bytes_ + 63) / 64 * 64;
    const value& logits = p[p.outputs.front()];
    plan.logits_ = map(p.outputs.front());
    plan.images_ = logits.dims.n;
    plan.classes_ = logits.dims.c;
  }

  template <class Operation>
  static std::size_t bytes_of(const Operation& op) {
    if constexpr (requires { op.scratch_bytes(); }) return op.scratch_bytes();
    return 0;
  }

  void compile() {
    plan.operations_.clear();
    flow.clear();
    arrays = 0;
    bytes.resize(std::max(bytes.size(), p.values.size()));
    for (const step& s : p.steps) std::visit(*this, s);
    plan.forward_operations_ = plan.operations_.size();
    for (const backward_step& s : training.backward) std::visit(*this, s);
  }

  const feature_map_ref& map(value_id id) const { return maps[static_cast<std::size_t>(id)]; }
  std::size_t images(value_id id) const { return p[id].dims.n; }

  /// An array of this backend's own, the same one in both passes.
  std::pair<value_id, array_ref> array(std::size_t size) {
    const std::size_t id = p.values.size() + arrays++;
    if (bytes.size() == id) bytes.push_back(size);
    return {value_id{id}, {offsets.empty() ? 0 : offsets[id]}};
  }
  /// A map of this backend's own.
  std::pair<value_id, feature_map_ref> own_map(const dims4& d) {
    feature_map_ref place{0, blocks_of(d.c), d.h, d.w};
    const auto [id, at] = array(d.n * place.image_size() * sizeof(T));
    place.offset = at.offset;
    return {id, place};
  }
  template <class Operation>
  void emit(Operation op, step_values values) {
    plan.operations_.push_back(std::move(op));
    flow.push_back(std::move(values));
  }
  static step_values touching(std::vector<value_id> reads, std::vector<value_id> writes) {
    return {std::move(reads), std::move(writes), {}, {}};
  }

  norm_ref norm(const norm_relu& n) {
    return {sums[static_cast<std::size_t>(n.statistics)], weights.vector(p[n.gamma]).template panel<float>(0),
            weights.vector(p[n.beta]).template panel<float>(0), n.eps};
  }
  conv_input input(const conv_source& s, weight_layout layout = weight_layout::direct) {
    if (s.window.size > 3) throw config_error("[cpu] expected a 1x1 or 3x3 convolution, got " + p[s.kernel].name);
    return {map(s.x), norm(s.input), weights.kernel(p[s.kernel], s.weight_eps, kernel_use::forward, layout), s.window};
  }
  /// What the gradient of a kernel reads: the source without the kernel.
  conv_input read(const conv_source& s) { return {map(s.x), norm(s.input), {}, s.window}; }
  /// Tiles of 4x4 are left to the way back: in the forward pass their larger rounding errors make more ReLUs open that
  /// should close, and each one that does is an error of a per cent in gradients.
  weight_layout layout_of(parameter_id kernel, const dims4& x, weight_layout largest) const {
    const auto& shape = p[kernel].shape;
    return choose_repacked_layout({x.n, x.h, x.w, shape[2], shape[3]}, largest, weights.microkernels());
  }
  template <class Operation>
  void statistics(Operation& op, const std::optional<value_id>& id, value_id of) {
    if (!id) return;
    statistics_ref& place = sums[static_cast<std::size_t>(*id)];
    place = {place.offset, op.spatial_tiles(), map(of).blocks, p[*id].dims.c, p[of].dims.c, map(of).pixels()};
    op.add_statistics(place);
  }

  // ---- the forward pass
  void operator()(const stem_step& s) {
    stem_operation<T> op(weights.microkernels(), weights.kernel(p[s.kernel], s.weight_eps, kernel_use::stem), s.window,
                         p[s.image].dims, map(s.y), s.unpooled ? map(*s.unpooled) : feature_map_ref{});
    op.keep_float();
    if (s.unpooled) in_float[static_cast<std::size_t>(*s.unpooled)] = true;
    statistics(op, s.statistics, s.y);
    emit(op, values_of(s));
  }
  void operator()(const conv_step& s) {
    if (winograd_applies(s)) {
      const weight_layout layout = layout_of(s.main.kernel, p[s.main.x].dims, weight_layout::winograd_2x2);
      if (layout != weight_layout::direct) {
        winograd_operation<T> op(weights.microkernels(), images(s.y), map(s.y), input(s.main, layout), 2);
        statistics(op, s.statistics, s.y);
        return emit(op, values_of(s));
      }
    }
    conv_operation<T> op(weights.microkernels(), images(s.y), map(s.y), input(s.main));
    if (s.projection) op.add_projection(input(*s.projection));
    if (s.residual) op.add_residual(map(*s.residual));
    statistics(op, s.statistics, s.y);
    emit(std::move(op), values_of(s));
  }
  void operator()(const pool_step& s) {
    emit(pool_operation<T>{&weights.microkernels(), images(s.x), map(s.x),
                           s.features ? map(*s.features) : feature_map_ref{}, map(s.pooled), norm(s.input)},
         values_of(s));
  }
  void operator()(const mean_step& s) { emit(mean_operation{p[s.image].dims, map(s.y)}, values_of(s)); }
  void operator()(const head_step& s) {
    emit(head_operation<float>{&weights.float_microkernels(), images(s.x), map(s.x), map(s.y),
                               &weights.kernel(p[s.kernel], 0, kernel_use::head),
                               weights.vector(p[s.bias]).template panel<float>(0)},
         values_of(s));
  }

  // ---- the backward pass
  /// Where a parameter's gradient is added; empty for a frozen one.
  std::span<float> gradient(parameter_id id) const {
    return training.learns(id) ? weights.at(p[id]).gradient : std::span<float>{};
  }
  void operator()(const recomputed_step& s) { std::visit(*this, s.forward); }
  void operator()(const head_backward_step& s) {
    emit(head_backward_operation{images(s.x), p[s.x].dims.c, p[s.dy].dims.c, map(s.x),
                                 s.dx ? map(*s.dx) : feature_map_ref{}, weights.at(p[s.kernel]).value,
                                 gradient(s.kernel), gradient(s.bias)},
         values_of(s));
  }
  void operator()(const mean_backward_step& s) {
    emit(mean_backward_operation<T>{images(s.dx), map(s.dy), map(s.dx)}, values_of(s));
  }
  void operator()(const norm_backward_step& s) {
    const std::size_t blocks = map(s.x).blocks;
    const auto [id, at] = array(images(s.x) * blocks * 2 * block * sizeof(double));
    const channel_sums channels{at, blocks};
    norm_backward_operation<T> op(weights.backward_map_microkernels(), images(s.x), map(s.x), norm(s.norm), map(s.dy),
                                  s.dx ? map(*s.dx) : feature_map_ref{}, channels);
    if (s.passed) op.add_passed(map(*s.passed));
    step_values values = values_of(s);
    values.writes.push_back(id);
    emit(op, std::move(values));
    if (!training.learns(s.norm.gamma) && !training.learns(s.norm.beta)) return;
    emit(norm_parameters_operation{images(s.x), p[s.x].dims.c, channels, gradient(s.norm.gamma), gradient(s.norm.beta)},
         touching({id}, {}));
  }

  /// The place for a standardised kernel's gradient, and the operation that takes it to the parameter's.
  std::pair<value_id, kernel_gradient_ref> kernel_gradient(const packing& how) {
    kernel_gradient_ref place{{}, how, weights.microkernels().tile_columns};
    const auto [id, at] = array(place.bytes());
    static_cast<array_ref&>(place) = at;
    return {id, place};
  }
  void emit_standardise_backward(parameter_id kernel, value_id id, const kernel_gradient_ref& place) {
    emit(standardise_backward_operation{&weights.backward_microkernels(), place, &weights.at(p[kernel]),
                                        &weights.standardised(p[kernel])},
         touching({id}, {}));
  }
  void emit_contraction(std::size_t count, const conv_input& in, const feature_map_ref& dy,
                        const kernel_gradient_ref& place, step_values values) {
    if constexpr (!std::same_as<T, float>)
      if (const backward_pair_microkernel_table* pairs = backward_pair_microkernels_of<T>(weights.isa()))
        return emit(backward_weights_pairs_operation(weights.microkernels(), *pairs, count, in, dy, place),
                    std::move(values));
    emit(backward_weights_operation<T>(weights.microkernels(), weights.backward_microkernels(), count, in, dy, place),
         std::move(values));
  }
  void operator()(const backward_weights_step& s) {
    const auto& shape = p[s.source.kernel].shape;
    const auto [id, place] =
        kernel_gradient({shape[0] * shape[1], shape[2], blocks_of(shape[2]) * block, shape[3], s.source.weight_eps});
    step_values values = values_of(s);
    values.writes.push_back(id);
    emit_contraction(images(s.dy), read(s.source), map(s.dy), place, std::move(values));
    emit_standardise_backward(s.source.kernel, id, place);
  }

  /// The convolution of dy by the kernel turned round, of stride 1. Emits what packs that kernel, which `values` read.
  conv_input back(const backward_source& s, const feature_map_ref& dy, step_values& values,
                  weight_layout layout = weight_layout::direct) {
    const packed_layout kernel = weights.layout_of(p[s.kernel], s.weight_eps, kernel_use::transposed, layout);
    const auto [id, at] = array(kernel.panels * kernel.panel_size * sizeof(T));
    emit(pack_operation<T>{&weights, kernel, at}, touching({}, {id}));
    values.reads.push_back(id);
    return {dy, {}, {at.offset, kernel.panel_size, kernel.panels}, turned(s.window)};
  }
  static window turned(const window& w) { return {w.size, 1, w.reach() - 1 - w.padding, w.dilation}; }
  void operator()(const backward_data_step& s) {
    const dims4& d = p[s.dx].dims;
    feature_map_ref dy = map(s.main.dy);
    value_id read = s.main.dy;
    if (s.main.window.stride > 1) {
      const window w{s.main.window.size, 1, s.main.window.padding, s.main.window.dilation};
      const auto [id, place] = own_map({d.n, p[s.main.dy].dims.c, w.out(d.h), w.out(d.w)});
      emit(zero_insertion_operation<T>{d.n, s.main.window.stride, dy, place}, touching({read}, {id}));
      dy = place;
      read = id;
    }
    step_values values = touching({read}, {s.dx});
    if (turned(s.main.window) == window{3, 1, 1, 1} && !s.projection) {
      const weight_layout layout =
          layout_of(s.main.kernel, {d.n, p[s.main.dy].dims.c, d.h, d.w}, weight_layout::winograd_4x4);
      if (layout != weight_layout::direct) {
        winograd_operation<T> op(weights.microkernels(), d.n, map(s.dx), back(s.main, dy, values, layout),
                                 layout == weight_layout::winograd_2x2 ? 2 : 4);
        return emit(op, std::move(values));
      }
    }
    conv_operation<T> op(weights.microkernels(), d.n, map(s.dx), back(s.main, dy, values));
    if (!s.projection) return emit(std::move(op), std::move(values));
    if (s.projection->window.stride == 1) {
      op.add_projection(back(*s.projection, map(s.projection->dy), values));
      values.reads.push_back(s.projection->dy);
      return emit(std::move(op), std::move(values));
    }
    // Back through the projection at its own, smaller size, then to the pixels that it has read.
    const dims4& small = p[s.projection->dy].dims;
    emit(std::move(op), std::move(values));
    const auto [id, place] = own_map({d.n, d.c, small.h, small.w});
    step_values projected = touching({s.projection->dy}, {id});
    conv_operation<T> projection(weights.microkernels(), d.n, place,
                                 back(*s.projection, map(s.projection->dy), projected));
    emit(std::move(projection), std::move(projected));
    emit(scatter_operation<T>{d.n, s.projection->window.stride, place, map(s.dx)}, touching({id}, {s.dx}));
  }

  void operator()(const stem_backward_step& s) {
    const dims4& d = p[s.image].dims;
    in_float[static_cast<std::size_t>(s.dunpooled)] = true;
    emit(max_pool_backward_operation<T>{&weights.backward_map_microkernels(), d.n, map(s.unpooled), map(s.dy),
                                        map(s.dunpooled)},
         touching({s.unpooled, s.dy}, {s.dunpooled}));
    if (training.learns(s.kernel)) {
      const auto& shape = p[s.kernel].shape;
      const std::size_t rows = shape[0] * shape[1] * shape[2];
      const auto [id, place] = kernel_gradient({1, rows, rows, shape[3], s.weight_eps});
      emit(stem_backward_weights_operation(weights.backward_microkernels(), d, s.window, map(s.dunpooled), place),
           touching({s.dunpooled}, {id}));
      emit_standardise_backward(s.kernel, id, place);
    }
    emit(image_backward_operation{d, s.window, map(s.dunpooled),
                                  &weights.kernel(p[s.kernel], s.weight_eps, kernel_use::stem),
                                  weights.microkernels().tile_columns},
         touching({s.dunpooled}, {}));
  }
};

}  // namespace bit::inline v0::detail
