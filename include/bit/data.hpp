// Front door: image files to network input. Includes only.
#pragma once

#include <bit/data/folder.hpp>
#include <bit/data/image.hpp>
#include <bit/data/loader.hpp>
#include <bit/data/preprocess.hpp>
#include <bit/data/resize.hpp>
