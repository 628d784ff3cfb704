// Part of the implementation: losses, optimizers, checkpoints of a run.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/update.ipp>
#include <bit/train/adam.ipp>
#include <bit/train/checkpoint.ipp>
#include <bit/train/evaluation.ipp>
#include <bit/train/loss.ipp>
#include <bit/train/metrics_log.ipp>
#include <bit/train/optimizer.ipp>
#include <bit/train/parameter_rules.ipp>
#include <bit/train/run_folder.ipp>
#include <bit/train/sgd.ipp>

namespace bit::inline v0::detail {

template void sgd_update(std::span<const update_chunk<float>>, const sgd_hyperparameters&, std::size_t);
template void sgd_update(std::span<const update_chunk<double>>, const sgd_hyperparameters&, std::size_t);
template void adam_update(std::span<const update_chunk<float>>, const adam_hyperparameters&, std::size_t);
template void adam_update(std::span<const update_chunk<double>>, const adam_hyperparameters&, std::size_t);
template double sum_of_squares(std::span<const update_chunk<float>>, std::size_t);
template double sum_of_squares(std::span<const update_chunk<double>>, std::size_t);

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

template class basic_optimizer<float>;
template class basic_optimizer<double>;
template class basic_sgd<float>;
template class basic_sgd<double>;
template class basic_adam<float>;
template class basic_adam<double>;

template class cross_entropy<float>;
template class cross_entropy<double>;
template class sigmoid_cross_entropy<float>;
template class sigmoid_cross_entropy<double>;
template class distillation<float>;
template class distillation<double>;
template class squared_error<float>;
template class squared_error<double>;

}  // namespace bit::inline v0::train
