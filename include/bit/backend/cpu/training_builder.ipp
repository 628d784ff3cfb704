// Compiles a training program for the CPU: the forward half as plan.ipp does, each adjoint step into one to three
// operations. Included by training.ipp.
#pragma once

#include <bit/backend/cpu/training.hpp>
#include <bit/error.hpp>
#include <tuple>

namespace bit::inline v0::detail {

/// Two passes, as for inference: chunks, hence sizes, are known after the first, addresses in the second. Maps are of
/// type T but for those of the stem before its pool.
template <class T>
struct cpu_training_builder {
  const training_program& training;
  const program& p;
  cpu_training_constants<T>& constants;
  cpu_training_plan<T>& plan;
  std::vector<map_place> maps;         ///< per value
  std::vector<statistics_place> sums;  ///< per value
  std::vector<std::size_t> bytes;      ///< per value, then per array of this backend's own
  std::vector<std::size_t> offsets;    ///< the same; empty in the first pass
  std::vector<bool> in_float;          ///< per value, for maps whatever T is
  std::vector<step_values> flow;       ///< per operation
  std::size_t arrays = 0;              ///< made in this pass

  cpu_training_builder(const training_program& program, cpu_training_plan<T>& target)
      : training(program),
        p(program.forward),
        constants(*target.constants_),
        plan(target),
        maps(p.values.size()),
        sums(p.values.size()),
        in_float(p.values.size()) {
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      const dims4& d = value.dims;
      if (value.kind == value_kind::map) maps[v] = {0, blocks_of(d.c), d.h, d.w};
      if (value.kind == value_kind::table) maps[v] = {0, blocks_of(d.c), 1, d.n};
    }
  }

  void build() {
    compile();
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      if (value.kind == value_kind::map)
        bytes[v] = value.dims.n * maps[v].image_size() * (in_float[v] ? sizeof(float) : sizeof(T));
      if (value.kind == value_kind::table) bytes[v] = maps[v].image_size() * sizeof(float);
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
    for (const adjoint_step& s : training.backward) std::visit(*this, s);
  }

  const map_place& map(value_id id) const { return maps[static_cast<std::size_t>(id)]; }
  std::size_t images(value_id id) const { return p[id].dims.n; }

  /// An array of this backend's own, the same one in both passes.
  std::pair<value_id, array_place> array(std::size_t size) {
    const std::size_t id = p.values.size() + arrays++;
    if (bytes.size() == id) bytes.push_back(size);
    return {value_id{id}, {offsets.empty() ? 0 : offsets[id]}};
  }
  /// A map of this backend's own.
  std::pair<value_id, map_place> own_map(const dims4& d) {
    map_place place{0, blocks_of(d.c), d.h, d.w};
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

  norm_place norm(const norm_relu& n) {
    return {sums[static_cast<std::size_t>(n.statistics)], constants.vector(p[n.gamma]).template panel<float>(0),
            constants.vector(p[n.beta]).template panel<float>(0), n.eps};
  }
  conv_input input(const conv_source& s, kernel_form form = kernel_form::direct) {
    if (s.window.size > 3) throw config_error("[cpu] expected a 1x1 or 3x3 convolution, got " + p[s.kernel].name);
    return {map(s.x), norm(s.input), constants.kernel(p[s.kernel], s.weight_eps, kernel_use::forward, form), s.window};
  }
  /// What the gradient of a kernel reads: the source without the kernel.
  conv_input read(const conv_source& s) { return {map(s.x), norm(s.input), {}, s.window}; }
  /// Tiles of 4x4 are left to the way back: in the forward half their larger rounding errors make more ReLUs open that
  /// should close, and each one that does is an error of a per cent in gradients.
  kernel_form form_of(constant_id kernel, const dims4& x, kernel_form largest) const {
    const auto& shape = p[kernel].shape;
    return choose_fresh_form({x.n, x.h, x.w, shape[2], shape[3]}, largest, constants.kernels());
  }
  template <class Operation>
  void statistics(Operation& op, const std::optional<value_id>& id, value_id of) {
    if (!id) return;
    statistics_place& place = sums[static_cast<std::size_t>(*id)];
    place = {place.offset, op.chunks(), map(of).blocks, p[*id].dims.c, p[of].dims.c, map(of).pixels()};
    op.add_statistics(place);
  }

  // ---- the forward half
  void operator()(const stem_step& s) {
    stem_operation<T> op(constants.kernels(), constants.kernel(p[s.kernel], s.weight_eps, kernel_use::stem), s.window,
                         p[s.image].dims, map(s.y), s.unpooled ? map(*s.unpooled) : map_place{});
    op.keep_float();
    if (s.unpooled) in_float[static_cast<std::size_t>(*s.unpooled)] = true;
    statistics(op, s.statistics, s.y);
    emit(op, values_of(s));
  }
  void operator()(const conv_step& s) {
    if (winograd_applies(s)) {
      const kernel_form form = form_of(s.main.kernel, p[s.main.x].dims, kernel_form::winograd_2x2);
      if (form != kernel_form::direct) {
        winograd_operation<T> op(constants.kernels(), images(s.y), map(s.y), input(s.main, form), 2);
        statistics(op, s.statistics, s.y);
        return emit(op, values_of(s));
      }
    }
    conv_operation<T> op(constants.kernels(), images(s.y), map(s.y), input(s.main));
    if (s.projection) op.add_projection(input(*s.projection));
    if (s.residual) op.add_residual(map(*s.residual));
    statistics(op, s.statistics, s.y);
    emit(std::move(op), values_of(s));
  }
  void operator()(const pool_step& s) {
    emit(pool_operation<T>{&constants.kernels(), images(s.x), map(s.x), s.features ? map(*s.features) : map_place{},
                           map(s.pooled), norm(s.input)},
         values_of(s));
  }
  void operator()(const mean_step& s) { emit(mean_operation{p[s.image].dims, map(s.y)}, values_of(s)); }
  void operator()(const head_step& s) {
    emit(head_operation<float>{&constants.float_kernels(), images(s.x), map(s.x), map(s.y),
                               &constants.kernel(p[s.kernel], 0, kernel_use::head),
                               constants.vector(p[s.bias]).template panel<float>(0)},
         values_of(s));
  }

  // ---- the backward half
  /// Where a parameter's gradient is added; empty for a frozen one.
  std::span<float> gradient(constant_id id) const {
    return training.learns(id) ? constants.at(p[id]).gradient : std::span<float>{};
  }
  void operator()(const repeated_step& s) { std::visit(*this, s.forward); }
  void operator()(const head_adjoint_step& s) {
    emit(head_adjoint_operation{images(s.x), p[s.x].dims.c, p[s.dy].dims.c, map(s.x), s.dx ? map(*s.dx) : map_place{},
                                constants.at(p[s.kernel]).value, gradient(s.kernel), gradient(s.bias)},
         values_of(s));
  }
  void operator()(const mean_adjoint_step& s) {
    emit(mean_adjoint_operation<T>{images(s.dx), map(s.dy), map(s.dx)}, values_of(s));
  }
  void operator()(const norm_adjoint_step& s) {
    const std::size_t blocks = map(s.x).blocks;
    const auto [id, at] = array(images(s.x) * blocks * 2 * block * sizeof(double));
    const channel_sums channels{at, blocks};
    norm_adjoint_operation<T> op(constants.map_adjoints(), images(s.x), map(s.x), norm(s.norm), map(s.dy),
                                 s.dx ? map(*s.dx) : map_place{}, channels);
    if (s.passed) op.add_passed(map(*s.passed));
    step_values values = values_of(s);
    values.writes.push_back(id);
    emit(op, std::move(values));
    if (!training.learns(s.norm.gamma) && !training.learns(s.norm.beta)) return;
    emit(norm_parameters_operation{images(s.x), p[s.x].dims.c, channels, gradient(s.norm.gamma), gradient(s.norm.beta)},
         touching({id}, {}));
  }

  /// The place for a standardised kernel's gradient, and the operation that takes it to the parameter's.
  std::pair<value_id, kernel_gradient_place> kernel_gradient(const packing& how) {
    kernel_gradient_place place{{}, how, constants.kernels().tile_columns};
    const auto [id, at] = array(place.bytes());
    static_cast<array_place&>(place) = at;
    return {id, place};
  }
  void emit_standardise_adjoint(constant_id kernel, value_id id, const kernel_gradient_place& place) {
    emit(standardise_adjoint_operation{&constants.adjoints(), place, &constants.at(p[kernel]),
                                       &constants.standardised(p[kernel])},
         touching({id}, {}));
  }
  void emit_contraction(std::size_t count, const conv_input& in, const map_place& dy,
                        const kernel_gradient_place& place, step_values values) {
    if constexpr (!std::same_as<T, float>)
      if (const pair_adjoint_kernels* pairs = pair_adjoint_kernels_of<T>(constants.isa()))
        return emit(pair_kernel_adjoint_operation(constants.kernels(), *pairs, count, in, dy, place),
                    std::move(values));
    emit(kernel_adjoint_operation<T>(constants.kernels(), constants.adjoints(), count, in, dy, place),
         std::move(values));
  }
  void operator()(const kernel_adjoint_step& s) {
    const auto& shape = p[s.source.kernel].shape;
    const auto [id, place] =
        kernel_gradient({shape[0] * shape[1], shape[2], blocks_of(shape[2]) * block, shape[3], s.source.weight_eps});
    step_values values = values_of(s);
    values.writes.push_back(id);
    emit_contraction(images(s.dy), read(s.source), map(s.dy), place, std::move(values));
    emit_standardise_adjoint(s.source.kernel, id, place);
  }

  /// The convolution that takes dy back: the same window turned round, of stride 1. Emits what makes its kernel, which
  /// `values` then read.
  conv_input back(const adjoint_source& s, const map_place& dy, step_values& values,
                  kernel_form form = kernel_form::direct) {
    const packed_form kernel = constants.layout_of(p[s.kernel], s.weight_eps, kernel_use::transposed, form);
    const auto [id, at] = array(kernel.panels * kernel.panel_size * sizeof(T));
    emit(pack_operation<T>{&constants, kernel, at}, touching({}, {id}));
    values.reads.push_back(id);
    return {dy, {}, {at.offset, kernel.panel_size, kernel.panels}, turned(s.window)};
  }
  static window turned(const window& w) { return {w.size, 1, w.reach() - 1 - w.padding, w.dilation}; }
  void operator()(const input_adjoint_step& s) {
    const dims4& d = p[s.dx].dims;
    map_place dy = map(s.main.dy);
    value_id read = s.main.dy;
    if (s.main.window.stride > 1) {
      // dy with the stride's zeros between its pixels, as large as a map that stride 1 would have made.
      const window w{s.main.window.size, 1, s.main.window.padding, s.main.window.dilation};
      const auto [id, place] = own_map({d.n, p[s.main.dy].dims.c, w.out(d.h), w.out(d.w)});
      emit(spread_operation<T>{d.n, s.main.window.stride, dy, place}, touching({read}, {id}));
      dy = place;
      read = id;
    }
    step_values values = touching({read}, {s.dx});
    if (turned(s.main.window) == window{3, 1, 1, 1} && !s.projection) {
      const kernel_form form = form_of(s.main.kernel, {d.n, p[s.main.dy].dims.c, d.h, d.w}, kernel_form::winograd_4x4);
      if (form != kernel_form::direct) {
        winograd_operation<T> op(constants.kernels(), d.n, map(s.dx), back(s.main, dy, values, form),
                                 form == kernel_form::winograd_2x2 ? 2 : 4);
        return emit(op, std::move(values));
      }
    }
    conv_operation<T> op(constants.kernels(), d.n, map(s.dx), back(s.main, dy, values));
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
    conv_operation<T> projection(constants.kernels(), d.n, place,
                                 back(*s.projection, map(s.projection->dy), projected));
    emit(std::move(projection), std::move(projected));
    emit(scatter_operation<T>{d.n, s.projection->window.stride, place, map(s.dx)}, touching({id}, {s.dx}));
  }

  void operator()(const stem_adjoint_step& s) {
    const dims4& d = p[s.image].dims;
    in_float[static_cast<std::size_t>(s.dunpooled)] = true;
    emit(max_pool_adjoint_operation<T>{&constants.map_adjoints(), d.n, map(s.unpooled), map(s.dy), map(s.dunpooled)},
         touching({s.unpooled, s.dy}, {s.dunpooled}));
    if (training.learns(s.kernel)) {
      const auto& shape = p[s.kernel].shape;
      const std::size_t rows = shape[0] * shape[1] * shape[2];
      const auto [id, place] = kernel_gradient({1, rows, rows, shape[3], s.weight_eps});
      emit(stem_kernel_adjoint_operation(constants.adjoints(), d, s.window, map(s.dunpooled), place),
           touching({s.dunpooled}, {id}));
      emit_standardise_adjoint(s.kernel, id, place);
    }
    emit(image_adjoint_operation{d, s.window, map(s.dunpooled),
                                 &constants.kernel(p[s.kernel], s.weight_eps, kernel_use::stem),
                                 constants.kernels().tile_columns},
         touching({s.dunpooled}, {}));
  }
};

}  // namespace bit::inline v0::detail
