// Compiled mode: bodies of bit/train, training.
#include <bit/backend/cpu/update.ipp>
#include <bit/train/adam.ipp>
#include <bit/train/checkpoint.ipp>
#include <bit/train/evaluation.ipp>
#include <bit/train/loss.ipp>
#include <bit/train/metrics_log.ipp>
#include <bit/train/optimiser.ipp>
#include <bit/train/parameter_rules.ipp>
#include <bit/train/run_folder.ipp>
#include <bit/train/sgd.ipp>

namespace bit::inline v0::train {

template class cross_entropy<float>;
template class cross_entropy<double>;
template class sigmoid_cross_entropy<float>;
template class sigmoid_cross_entropy<double>;
template class distillation<float>;
template class distillation<double>;
template class squared_error<float>;
template class squared_error<double>;

}  // namespace bit::inline v0::train
