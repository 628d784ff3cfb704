// Compiled mode: the bodies of every function that is not a template, once, and the templates for the usual backends.
#include <bit/backend/cpu/conv.ipp>
#include <bit/backend/cpu/packed_weights.ipp>
#include <bit/backend/cpu/peak.ipp>
#include <bit/backend/cpu/plan.ipp>
#include <bit/backend/cpu/read_weights.ipp>
#include <bit/backend/cpu/stem.ipp>
#include <bit/backend/cpu/threads.ipp>
#include <bit/backend/cpu/winograd.ipp>
#include <bit/backend/freeze_options.ipp>
#include <bit/backend/report.ipp>
#include <bit/detail/aligned_buffer.ipp>
#include <bit/model/config.ipp>
#include <bit/model/network.ipp>
#include <bit/model/random.ipp>
#include <bit/model/resnet_v2.hpp>
#include <bit/program/memory_plan.ipp>
#include <bit/program/program.ipp>
#include <bit/program/summary.ipp>

namespace bit::inline v0 {

namespace detail {

template class cpu_weights<float>;
template class cpu_weights<bfloat16>;
template class stem_operation<float>;
template class stem_operation<bfloat16>;
template class conv_operation<float>;
template class conv_operation<bfloat16>;
template class winograd_operation<float>;
template class winograd_operation<bfloat16>;
template class cpu_plan<float>;
template class cpu_plan<bfloat16>;

}  // namespace detail

template class frozen_resnet_v2<cpu<float>>;
template class frozen_resnet_v2<cpu<bfloat16>>;
template class resnet_v2<cpu<float>>;
template class resnet_v2<cpu<bfloat16>>;

}  // namespace bit::inline v0
