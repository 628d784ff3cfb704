// Front door: fine-tuning. Includes only.
#pragma once

#include <bit/train/few_shot.hpp>
#include <bit/train/hyper_rule.hpp>
#include <bit/train/loader.hpp>
#include <bit/train/mixup.hpp>
#include <bit/train/sampler.hpp>
