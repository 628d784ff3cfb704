// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: losses, optimizers, checkpoints of a run.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/parameters.ipp>
#include <bit/backend/cpu/update.ipp>
#include <bit/backend/loss.ipp>
#include <bit/train/adam.ipp>
#include <bit/train/best_metric.ipp>
#include <bit/train/checkpoint.ipp>
#include <bit/train/evaluation.ipp>
#include <bit/train/metrics_log.ipp>
#include <bit/train/optimizer.ipp>
#include <bit/train/parameter_rules.ipp>
#include <bit/train/run_folder.ipp>
#include <bit/train/sgd.ipp>

namespace bit::inline BIT_ABI::detail {

template void sgd_update(std::span<const update_chunk<float>>, const sgd_hyperparameters&, std::size_t);
template void sgd_update(std::span<const update_chunk<double>>, const sgd_hyperparameters&, std::size_t);
template void adam_update(std::span<const update_chunk<float>>, const adam_hyperparameters&, std::size_t);
template void adam_update(std::span<const update_chunk<double>>, const adam_hyperparameters&, std::size_t);
template double sum_of_squares(std::span<const update_chunk<float>>, std::size_t);
template double sum_of_squares(std::span<const update_chunk<double>>, std::size_t);
template class host_parameters<float>;
template class host_parameters<double>;
template class host_logits<float>;
template class host_logits<double>;

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI {

template double evaluate_loss(const loss&, std::span<const float>, std::span<float>, std::size_t, std::size_t, double);
template double evaluate_loss(const loss&, std::span<const double>, std::span<double>, std::size_t, std::size_t,
                              double);

}  // namespace bit::inline BIT_ABI

namespace bit::inline BIT_ABI::train {

template class basic_optimizer<float>;
template class basic_optimizer<double>;
template class basic_sgd<float>;
template class basic_sgd<double>;
template class basic_adam<float>;
template class basic_adam<double>;

}  // namespace bit::inline BIT_ABI::train
