// Compiled mode: bodies of the recipe and the data side of bit/train.
#include <bit/train/few_shot.ipp>
#include <bit/train/hyper_rule.ipp>
#include <bit/train/kept_features.ipp>
#include <bit/train/loader.ipp>
#include <bit/train/loader_source.ipp>
#include <bit/train/memory.ipp>
#include <bit/train/mixup.ipp>
#include <bit/train/sampler.ipp>
