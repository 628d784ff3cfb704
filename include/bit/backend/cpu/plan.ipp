// Bodies of backend/cpu/plan.hpp.
#pragma once

#include <omp.h>

#include <atomic>
#include <bit/backend/cpu/plan.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/error.hpp>
#include <memory>
#include <string>

namespace bit::inline v0::detail {

/// Compiles steps one by one; statistics places are known once the step that writes them has been cut into chunks,
/// which is before the arena is laid out, hence the two passes.
template <class T>
struct cpu_plan_builder {
  const program& p;
  const cpu_weights<T>& weights;
  cpu_plan<T>& plan;
  std::vector<feature_map_ref> maps;
  std::vector<statistics_ref> sums;

  cpu_plan_builder(const program& program, cpu_plan<T>& target)
      : p(program), weights(*target.weights_), plan(target), maps(p.values.size()), sums(p.values.size()) {
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      const dims4& d = value.dims;
      if (value.kind == value_kind::feature_map) maps[v] = {0, blocks_of(d.c), d.h, d.w};
      if (value.kind == value_kind::matrix) maps[v] = {0, blocks_of(d.c), 1, d.n};
    }
  }

  void build() {
    prepare_layouts();
    compile_steps();  // shapes and chunks
    std::vector<std::size_t> bytes(p.values.size(), 0);
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const value& value = p.values[v];
      if (value.kind == value_kind::feature_map)
        bytes[v] = value.dims.n * maps[v].image_size() * sizeof(feature_map_of<T>);
      if (value.kind == value_kind::matrix) bytes[v] = maps[v].image_size() * sizeof(float);
      if (value.kind == value_kind::statistics) bytes[v] = value.dims.n * sums[v].image_size() * sizeof(double);
    }
    plan.memory_ = plan_memory(p, bytes);
    for (std::size_t v = 0; v < p.values.size(); ++v)
      if (plan.memory_.offsets[v] != memory_plan::not_stored) maps[v].offset = sums[v].offset = plan.memory_.offsets[v];
    compile_steps();  // addresses
    plan.arena_bytes_ = plan.memory_.total;
    for (const auto& op : plan.operations_)
      plan.scratch_bytes_ = std::max(plan.scratch_bytes_, std::visit([](const auto& o) { return bytes_of(o); }, op));
    plan.scratch_bytes_ = (plan.scratch_bytes_ + 63) / 64 * 64;
    for (std::size_t i = 0; i < p.outputs.size(); ++i) {
      const value& value = p[p.outputs[i]];
      plan.exports_.push_back({map(p.outputs[i]), value.kind == value_kind::matrix, value.dims.n, value.dims.c, i});
    }
  }

  template <class Operation>
  static std::size_t bytes_of(const Operation& op) {
    if constexpr (requires { op.scratch_bytes(); }) return op.scratch_bytes();
    return 0;
  }

  void compile_steps() {
    plan.operations_.clear();
    std::vector<std::shared_ptr<const packed_weights>> packed;
    packed.swap(plan.packed_);  // the first pass's constants stay packed during the second
    for (const step& s : p.steps) std::visit(*this, s);
  }

  /// The form that a step's 3x3 kernel takes.
  weight_layout layout_of(const conv_step& s) const {
    const dims4 &x = p[s.main.x].dims, &y = p[s.y].dims;
    return choose_weight_layout({x.n, x.h, x.w, x.c, y.c}, weights.options().algorithm, weights.microkernels());
  }
  /// Packs all kernels that may have several forms in one reading; the plan holds them.
  void prepare_layouts() {
    std::vector<wanted_layout> wanted;
    for (const step& s : p.steps)
      if (const auto* conv = std::get_if<conv_step>(&s); conv && winograd_applies(*conv))
        wanted.push_back({&p[conv->main.kernel], layout_of(*conv)});
    plan.packed_ = weights.prepare(wanted);
  }

  const feature_map_ref& map(value_id id) const { return maps[static_cast<std::size_t>(id)]; }
  /// A constant, kept alive by the plan.
  const packed_weights& packed_parameter(parameter_id id, weight_layout layout = weight_layout::direct) {
    plan.packed_.push_back(weights.at(p[id], layout));
    return *plan.packed_.back();
  }

  norm_ref norm(const norm_relu& n) {
    return {sums[static_cast<std::size_t>(n.statistics)], packed_parameter(n.gamma).template panel<float>(0),
            packed_parameter(n.beta).template panel<float>(0), n.eps};
  }
  conv_input input(const conv_source& s, weight_layout layout = weight_layout::direct) {
    if (s.window.size > 3) throw config_error("[cpu] expected a 1x1 or 3x3 convolution, got " + p[s.kernel].name);
    return {map(s.x), norm(s.input), packed_parameter(s.kernel, layout), s.window};
  }
  /// Fixes where the statistics of map `of` go, once its writer knows its chunks.
  template <class Operation>
  void statistics(Operation& op, const std::optional<value_id>& id, value_id of) {
    if (!id) return;
    statistics_ref& place = sums[static_cast<std::size_t>(*id)];
    place = {place.offset, op.spatial_tiles(), map(of).blocks, p[*id].dims.c, p[of].dims.c, map(of).pixels()};
    op.add_statistics(place);
  }

  void operator()(const stem_step& s) {
    stem_operation<T> op(weights.microkernels(), packed_parameter(s.kernel), s.window, p[s.image].dims, map(s.y),
                         s.unpooled ? map(*s.unpooled) : feature_map_ref{});
    statistics(op, s.statistics, s.y);
    plan.operations_.push_back(std::move(op));
  }
  void operator()(const conv_step& s) {
    if (winograd_applies(s)) {
      const weight_layout layout = layout_of(s);
      if (layout != weight_layout::direct) {
        winograd_operation<T> op(weights.microkernels(), p[s.y].dims.n, map(s.y), input(s.main, layout),
                                 layout == weight_layout::winograd_2x2 ? 2 : 4);
        statistics(op, s.statistics, s.y);
        plan.operations_.push_back(std::move(op));
        return;
      }
    }
    conv_operation<T> op(weights.microkernels(), p[s.y].dims.n, map(s.y), input(s.main));
    if (s.projection) {
      if (s.main.window.size != 1 || s.projection->window.size != 1)
        throw config_error("[cpu] expected a 1x1 projection beside a 1x1 convolution, got " + p[s.main.kernel].name);
      op.add_projection(input(*s.projection));
    }
    if (s.residual) op.add_residual(map(*s.residual));
    statistics(op, s.statistics, s.y);
    plan.operations_.push_back(std::move(op));
  }
  void operator()(const pool_step& s) {
    plan.operations_.push_back(pool_operation<T>{&weights.microkernels(), p[s.x].dims.n, map(s.x),
                                                 s.features ? map(*s.features) : feature_map_ref{}, map(s.pooled),
                                                 norm(s.input)});
  }
  void operator()(const mean_step& s) { plan.operations_.push_back(mean_operation{p[s.image].dims, map(s.y)}); }
  void operator()(const head_step& s) {
    plan.operations_.push_back(head_operation<T>{&weights.microkernels(), p[s.x].dims.n, map(s.x), map(s.y),
                                                 &packed_parameter(s.kernel),
                                                 packed_parameter(s.bias).template panel<float>(0)});
  }
};

template <class T>
cpu_plan<T>::cpu_plan(const program& p, std::shared_ptr<const cpu_weights<T>> weights) : weights_(std::move(weights)) {
  if (p.steps.size() + p.outputs.size() > work_stealing_queue::max_steps)
    throw config_error("[cpu] expected at most " + std::to_string(work_stealing_queue::max_steps) +
                       " steps and outputs, got " + std::to_string(p.steps.size() + p.outputs.size()) +
                       "; use fewer units");
  cpu_plan_builder<T>(p, *this).build();
}

/// What this thread will read first in `o`, if that is known.
template <class Operation>
next_weights first_read(const Operation& o, const run_context& run) {
  return std::visit(
      [&](const auto& op) {
        if constexpr (requires { op.first_read(run); })
          return op.first_read(run);
        else
          return next_weights{};
      },
      o);
}

template <class T>
std::vector<step_profile> cpu_plan<T>::report(const program& p) const {
  std::vector<step_profile> rows = report_steps(p, memory_.bytes, sizeof(float));
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::visit(
        [&](const auto& o) {
          if constexpr (requires { o.algorithm(); }) rows[i].algorithm = name_of(o.algorithm());
          if constexpr (requires { o.weight_bytes(); }) rows[i].weight_bytes = o.weight_bytes();
        },
        operations_[i]);
  return rows;
}

template <class T>
bool cpu_plan<T>::run(const image_view<float>& image, std::span<float* const> outputs, const workspace& memory,
                      const run_options& options) const {
  std::span<work_slot> slots(reinterpret_cast<work_slot*>(memory.data()), options.threads);
  std::uninitialized_default_construct(slots.begin(), slots.end());
  work_stealing_queue queue(slots);
  std::atomic<bool> stopped{false};
  step_timer timer(options.step_seconds);
#pragma omp parallel num_threads(region_threads(options.threads))
  {
    run_context context{.arena = memory.data() + slots.size_bytes(),
                        .image = image,
                        .scratch = nullptr,
                        .thread = static_cast<std::size_t>(omp_get_thread_num()),
                        .threads = static_cast<std::size_t>(omp_get_num_threads()),
                        .queue = &queue};
    context.scratch = context.arena + arena_bytes_ + context.thread * scratch_bytes_;
    spin_policy waits;
    for (std::size_t i = 0; i < operations_.size() && !stopped; ++i) {
      context.step = i + 1;
      run_context then = context;
      ++then.step;
      context.next = i + 1 < operations_.size() ? first_read(operations_[i + 1], then) : next_weights{};
      std::visit([&](const auto& o) { o.run(context); }, operations_[i]);
      // Whoever leaves early does so between two items, so nobody waits for what it has not begun.
      if (context.thread == 0 && options.interrupted && options.interrupted()) stopped = true;
      queue.wait(context.step, waits);
      timer.finished(i);
    }
    for (std::size_t i = 0; i < exports_.size() && !stopped; ++i) {
      context.step = operations_.size() + 1 + i;
      float* to = outputs[exports_[i].output];
      if (exports_[i].table)
        copy_out<float>(context, exports_[i], to, layout::nhwc);
      else
        copy_out<feature_map_of<T>>(context, exports_[i], to, options.output_layout);
      queue.wait(context.step, waits);
    }
  }
  return !stopped;
}

/// From blocks of channels to the caller's order; padding channels are left out.
template <class T>
template <class From>
void cpu_plan<T>::copy_out(const run_context& run, const export_operation& e, float* to, layout order) const noexcept {
  const std::size_t pixels = e.from.pixels(), images = e.table ? 1 : e.images;
  const bool channels_last = e.table || order == layout::nhwc;
  run.work(images * e.from.blocks, [&](std::size_t item) {
    const std::size_t n = item / e.from.blocks, b = item % e.from.blocks;
    const std::size_t count = std::min(block, e.channels - b * block);
    const From* from = e.from.at<From>(run, n) + b * pixels * block;
    float* image = to + n * pixels * e.channels;
    for (std::size_t p = 0; p < pixels; ++p)
      for (std::size_t c = 0; c < count; ++c)
        image[channels_last ? p * e.channels + b * block + c : (b * block + c) * pixels + p] =
            static_cast<float>(from[p * block + c]);
  });
}

}  // namespace bit::inline v0::detail
