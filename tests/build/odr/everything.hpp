// Every front door, after the standard header whose name our folder shares.
#pragma once

#include <bit>

#include <bit/data.hpp>
#include <bit/io.hpp>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>

namespace odr {

using name_function = std::string (*)(const bit::resnet_config&);
name_function function_in_two();

}  // namespace odr
