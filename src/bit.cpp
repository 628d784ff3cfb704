// Compiled mode: the bodies of every function that is not a template, once, and the templates for the usual policies.
#include <bit/backend/cpu/constants.ipp>
#include <bit/backend/cpu/conv.ipp>
#include <bit/backend/cpu/isa/dispatch.ipp>
#include <bit/backend/cpu/peak.ipp>
#include <bit/backend/cpu/plan.ipp>
#include <bit/backend/cpu/program_cost.ipp>
#include <bit/backend/cpu/stem.ipp>
#include <bit/backend/cpu/threads.ipp>
#include <bit/backend/freeze_options.ipp>
#include <bit/backend/report.ipp>
#include <bit/model/config.ipp>
#include <bit/model/network.ipp>
#include <bit/model/random.ipp>
#include <bit/model/resnet_v2.hpp>
#include <bit/program/memory_plan.ipp>
#include <bit/program/program.ipp>
#include <bit/program/summary.ipp>

namespace bit::inline v0 {

template class frozen_resnet_v2<cpu<float>>;
template class resnet_v2<cpu<float>>;

}  // namespace bit::inline v0
