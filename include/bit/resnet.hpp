// Front door: the model, loading, predicting.
#pragma once

#include <bit/error.hpp>
#include <bit/model/resnet_v2.hpp>
