#include "everything.hpp"

odr::name_function odr::function_in_two() { return &bit::architecture_name; }
