// SPDX-License-Identifier: Apache-2.0
// Bodies of model/network.hpp.
#pragma once

#include <algorithm>
#include <bit/error.hpp>
#include <bit/model/completeness.hpp>
#include <bit/model/network.hpp>
#include <map>

namespace bit::inline BIT_ABI {
namespace detail {

/// Finds parameters by name after having checked all of them at once.
class parameter_finder {
 public:
  parameter_finder(const resnet_config& config, const std::vector<named_tensor>& tensors) {
    std::vector<present_tensor> present;
    for (const named_tensor& t : tensors) {
      by_name_.emplace(t.name, &t);
      present.push_back({t.name, t.shape, t.name, t.shape});
    }
    const std::string problems =
        tensor_problems(tensor_specs(config), present,
                        {[](const tensor_spec& s) { return s.name; }, [](const tensor_spec& s) { return s.shape; }});
    if (!problems.empty())
      throw format_error("[network] the tensors do not make " + architecture_name(config) + " with " +
                         std::to_string(config.num_classes) + " classes:" + problems);
  }

  const named_tensor& operator()(const std::string& name) const { return *by_name_.at(name); }
  nn::group_norm norm(const std::string& prefix, double eps) const {
    return {(*this)(prefix + "group_norm/gamma"), (*this)(prefix + "group_norm/beta"), eps};
  }
  nn::std_conv2d conv(const std::string& prefix, window w, double eps) const {
    return {(*this)(prefix + "standardized_conv2d/kernel"), w, eps};
  }

 private:
  std::map<std::string, const named_tensor*> by_name_;
};

/// Stride of a block and dilation of its 3x3 convolutions once the output stride is reached: what would have been
/// stride becomes dilation, which the first unit applies one block late (the rule of timm/models/resnetv2.py).
struct block_pace {
  std::size_t stride, first_dilation, dilation;
};

inline std::array<block_pace, 4> pace_of_blocks(std::size_t output_stride) {
  std::array<block_pace, 4> pace{};
  std::size_t reached = 4, dilation = 1;  // the stem and its pool
  for (std::size_t b = 0; b < 4; ++b) {
    std::size_t stride = b == 0 ? 1 : 2;
    if (reached >= output_stride) {
      dilation *= stride;
      stride = 1;
    }
    reached *= stride;
    pace[b] = {stride, dilation <= 2 ? std::size_t{1} : std::size_t{2}, dilation};
  }
  return pace;
}

}  // namespace detail

BIT_FUNC network::network(const resnet_config& config, const std::vector<named_tensor>& tensors) : config_(config) {
  validate(config);
  const detail::parameter_finder find(config, tensors);
  const double norm_eps = config.group_norm_eps, eps = config.weight_eps;
  stem_.conv = find.conv("resnet/root_block/", {.size = 7, .stride = 2, .padding = 3}, eps);
  const auto pace = detail::pace_of_blocks(config.output_stride);
  for (std::size_t b = 0; b < 4; ++b) {
    std::vector<nn::bottleneck> units;
    for (std::size_t u = 0; u < config.units[b]; ++u) {
      nn::bottleneck unit;
      unit.name = "block" + std::to_string(b + 1) + "/unit" + (u < 9 ? "0" : "") + std::to_string(u + 1);
      const std::string prefix = "resnet/" + unit.name + "/";
      const std::size_t stride = u == 0 ? pace[b].stride : 1;
      const std::size_t dilation = u == 0 ? pace[b].first_dilation : pace[b].dilation;
      const struct {
        const char* name;
        nn::group_norm& norm;
        nn::std_conv2d& conv;
        window slide;
      } parts[] = {{"a/", unit.norm1, unit.conv1, {}},
                   {"b/", unit.norm2, unit.conv2, {3, stride, dilation, dilation}},
                   {"c/", unit.norm3, unit.conv3, {}}};
      for (const auto& part : parts) {
        part.norm = find.norm(prefix + part.name, norm_eps);
        part.conv = find.conv(prefix + part.name, part.slide, eps);
      }
      if (u == 0) unit.projection = find.conv(prefix + "a/proj/", {.size = 1, .stride = stride}, eps);
      units.push_back(std::move(unit));
    }
    blocks_.push_back(std::move(units));
  }
  norm_ = find.norm("resnet/", norm_eps);
  if (config.num_classes > 0) head_ = nn::linear{find("resnet/head/conv2d/kernel"), find("resnet/head/conv2d/bias")};
}

BIT_FUNC std::vector<named_tensor> network::parameters() const {
  std::vector<named_tensor> all{stem_.conv.kernel};
  for (const auto& block : blocks_)
    for (const nn::bottleneck& u : block) {
      const std::pair<const nn::group_norm&, const nn::std_conv2d&> parts[] = {
          {u.norm1, u.conv1}, {u.norm2, u.conv2}, {u.norm3, u.conv3}};
      for (const auto& [norm, conv] : parts) all.insert(all.end(), {norm.gamma, norm.beta, conv.kernel});
      if (u.projection) all.push_back(u.projection->kernel);
    }
  all.insert(all.end(), {norm_.gamma, norm_.beta});
  if (head_) all.insert(all.end(), {head_->kernel, head_->bias});
  return all;
}

BIT_FUNC std::vector<std::string> network::output_names() const {
  std::vector<std::string> names{"stem", "root"};
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    for (const nn::bottleneck& unit : blocks_[b]) names.push_back(unit.name);
    names.push_back("block" + std::to_string(b + 1));
  }
  names.insert(names.end(), {"features", "pooled"});
  if (head_) names.emplace_back("logits");
  return names;
}

BIT_FUNC program network::emit(const dims4& image, std::span<const std::string> outputs) const {
  if (image.c != config_.in_channels)
    throw shape_error("[resnet_v2] expected images with " + std::to_string(config_.in_channels) + " channels, got " +
                      to_string(image));
  if (image.h == 0 || image.w == 0)
    throw shape_error("[resnet_v2] expected images of at least 1x1 pixels, got " + to_string(image));
  const auto names = output_names();
  for (const std::string& name : outputs)
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      std::string known;
      for (const std::string& n : names) known += (known.empty() ? "" : ", ") + n;
      throw config_error("[resnet_v2] expected outputs out of " + known + "; got \"" + name + "\"");
    }
  const auto wanted = [&](const std::string& name) {
    return std::find(outputs.begin(), outputs.end(), name) != outputs.end();
  };
  std::size_t missing = 0;  // outputs that no step has made yet
  for (std::size_t i = 0; i < outputs.size(); ++i)
    missing += std::find(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(i), outputs[i]) ==
               outputs.begin() + static_cast<std::ptrdiff_t>(i);

  program p;
  std::map<std::string, value_id> made;
  const auto offer = [&](const std::string& name, value_id id) {
    if (wanted(name) && made.emplace(name, id).second) --missing;
    return missing == 0;
  };
  const auto build = [&] {
    nn::flow x = stem_.emit(p, p.add("image", value_kind::image, image), config_.groups, wanted("stem"));
    if (wanted("stem")) offer("stem", *std::get<stem_step>(p.steps.back()).unpooled);
    if (offer("root", x.x)) return;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      for (const nn::bottleneck& unit : blocks_[b]) {
        x = unit.emit(p, x, config_.groups);
        const bool last = &unit == &blocks_[b].back();
        if (last) offer("block" + std::to_string(b + 1), x.x);
        if (offer(unit.name, x.x)) return;
      }
    }
    pool_step pool{.x = x.x, .input = norm_.emit(p, x.statistics), .pooled = {}};
    if (wanted("features")) {
      pool.features = p.add("features", value_kind::feature_map, p[x.x].dims);
      offer("features", *pool.features);
    }
    pool.pooled = p.add("pooled", value_kind::matrix, {image.n, config_.num_features(), 1, 1});
    p.steps.push_back(pool);
    if (offer("pooled", pool.pooled) || !head_) return;
    offer("logits", head_->emit(p, pool.pooled));
  };
  build();
  for (const std::string& name : outputs) p.outputs.push_back(made.at(name));
  return p;
}

BIT_FUNC program network::emit_head(const dims4& features, bool pre_logits) const {
  if (features.c != config_.num_features() || features.h == 0 || features.w == 0)
    throw shape_error("[head] expected features with " + std::to_string(config_.num_features()) + " channels, got " +
                      to_string(features));
  program p;
  const value_id image = p.add("features", value_kind::image, features);
  const value_id pooled = p.add("pooled", value_kind::matrix, {features.n, features.c, 1, 1});
  p.steps.push_back(mean_step{image, pooled});
  p.outputs = {pre_logits || !head_ ? pooled : head_->emit(p, pooled)};
  return p;
}

}  // namespace bit::inline BIT_ABI
