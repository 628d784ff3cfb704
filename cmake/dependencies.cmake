# What the library links. OpenMP, threads, xtensor, xtensor-blas and Eigen always; zlib, the image decoders and a CBLAS
# where they are found (config.hpp says what a build without them refuses).
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
# As a subdirectory, the targets that our own targets name must be seen by the project that links us.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)

# bit_find_or_fetch(<package> <target> INCLUDE <folder> HEADERS <subfolder>... FETCH <what FetchContent_Declare takes>):
# <target> from the parent project, from find_package or, if that is allowed, from a pinned download. Only headers are used
# of a download and none of its CMake code runs (SOURCE_SUBDIR names a folder that is not there). An installed bit brings
# the headers of downloads along: <folder>/<subfolder>.
function(bit_find_or_fetch package target)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "INCLUDE" "HEADERS;FETCH")
  if(NOT TARGET ${target})
    find_package(${package} QUIET)
  endif()
  if(TARGET ${target})
    return()
  endif()
  if(NOT BIT_FETCH_DEPENDENCIES)
    message(FATAL_ERROR "bit needs ${package}, which find_package did not find. Install it (tools/apt-build.txt "
                        "names the Debian packages) or configure with -DBIT_FETCH_DEPENDENCIES=ON to download it.")
  endif()
  message(STATUS "bit: ${package} was not found; downloading it (BIT_FETCH_DEPENDENCIES=OFF forbids that)")
  include(FetchContent)
  FetchContent_Declare(${package} ${arg_FETCH} SOURCE_SUBDIR headers-only)
  FetchContent_MakeAvailable(${package})
  string(TOLOWER ${package} name)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${${name}_SOURCE_DIR}/${arg_INCLUDE})
  if(arg_HEADERS)
    set_property(GLOBAL APPEND PROPERTY bit_downloaded_packages ${package})
    set_property(GLOBAL APPEND PROPERTY bit_downloaded_targets ${target})
    list(TRANSFORM arg_HEADERS PREPEND ${${name}_SOURCE_DIR}/${arg_INCLUDE}/)
    set_property(GLOBAL APPEND PROPERTY bit_downloaded_folders ${arg_HEADERS})
  endif()
endfunction()

# xtensor 0.26 is the newest that clang 14 compiles as well as clang 22 (0.27 needs clang 16).
bit_find_or_fetch(xtl xtl INCLUDE include HEADERS xtl FETCH
                  GIT_REPOSITORY https://github.com/xtensor-stack/xtl.git
                  GIT_TAG ef84e9f27020ad54961c99acd293d80d4b775dd3)  # 0.8.0
bit_find_or_fetch(xtensor xtensor INCLUDE include HEADERS xtensor FETCH
                  GIT_REPOSITORY https://github.com/xtensor-stack/xtensor.git
                  GIT_TAG f31d415a507b84d0097436a38293df3f56906ad1)  # 0.26.0
# Containers pass between a program and the compiled library: an installed bit insists on the version it was built with.
# A parent project's own target may name its folders by generator expressions.
get_target_property(bit_xtensor_folders xtensor INTERFACE_INCLUDE_DIRECTORIES)
string(REGEX REPLACE "\\$<BUILD_INTERFACE:([^>]*)>" "\\1" bit_xtensor_folders "${bit_xtensor_folders}")
find_file(bit_xtensor_config NAMES xtensor/core/xtensor_config.hpp xtensor/xtensor_config.hpp
          PATHS ${bit_xtensor_folders} NO_DEFAULT_PATH NO_CACHE)
if(bit_xtensor_config)
  file(STRINGS ${bit_xtensor_config} bit_xtensor_version REGEX "define XTENSOR_VERSION_(MAJOR|MINOR|PATCH)")
  string(REGEX REPLACE "[^0-9;]" "" bit_xtensor_version "${bit_xtensor_version}")
  list(JOIN bit_xtensor_version "." bit_xtensor_version)
else()
  set(bit_xtensor_version "of an unknown version")
  if(BIT_INSTALL)
    message(FATAL_ERROR "bit: the target xtensor names no folder with xtensor_config.hpp in it (${bit_xtensor_folders}), so "
                        "an installed package could not ask for its version; configure with -DBIT_INSTALL=OFF")
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16
   AND bit_xtensor_version VERSION_GREATER_EQUAL 0.27)
  message(FATAL_ERROR "bit: clang ${CMAKE_CXX_COMPILER_VERSION} cannot compile xtensor ${bit_xtensor_version}: take clang 16 "
                      "or newer, g++, or xtensor 0.24 to 0.26 (-DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON "
                      "-DCMAKE_DISABLE_FIND_PACKAGE_xtl=ON downloads 0.26)")
endif()
bit_find_or_fetch(XtensorBlasHeaders bit::xtensor_blas INCLUDE include HEADERS xtensor-blas xflens FETCH
                  GIT_REPOSITORY https://github.com/xtensor-stack/xtensor-blas.git
                  GIT_TAG 894ff33d05aeb5297d5d3fde8e7591613b824de0)  # 0.22.0
bit_find_or_fetch(Eigen3 Eigen3::Eigen INCLUDE . HEADERS Eigen FETCH
                  URL https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz
                  URL_HASH SHA256=8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72)

# Libraries that are linked where they are there: <package> <target> <macro of config.hpp> <Debian's package>.
set(bit_optional_packages "ZLIB ZLIB::ZLIB BIT_HAS_ZLIB zlib1g-dev" "JPEG JPEG::JPEG BIT_HAS_JPEG libjpeg-dev"
                          "PNG PNG::PNG BIT_HAS_PNG libpng-dev" "WebP WebP::webp BIT_HAS_WEBP libwebp-dev")
set(bit_used_packages "")
foreach(row IN LISTS bit_optional_packages)
  string(REPLACE " " ";" row "${row}")
  list(GET row 0 package)
  list(GET row 3 debian)
  find_package(${package} QUIET)
  if(${package}_FOUND)
    list(APPEND bit_used_packages ${package})
  elseif(NOT CMAKE_DISABLE_FIND_PACKAGE_${package})
    if(package STREQUAL "ZLIB")
      set(lost "read compressed npz files")
    else()
      set(lost "decode ${package} images")
    endif()
    message(WARNING "bit: ${package} was not found, so programs will not be able to ${lost}. Install it (${debian} on "
                    "Debian and Ubuntu), or say that it is not needed by -DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON; "
                    "-DCMAKE_REQUIRE_FIND_PACKAGE_${package}=ON makes this an error.")
  endif()
endforeach()
if(BIT_USE_CBLAS)
  find_package(BLAS REQUIRED)
endif()
message(STATUS "bit: xtensor ${bit_xtensor_version}; optional libraries: ${bit_used_packages}; CBLAS: ${BIT_USE_CBLAS}")

function(bit_link_dependencies target)
  target_link_libraries(${target} INTERFACE xtensor bit::xtensor_blas xtl Eigen3::Eigen OpenMP::OpenMP_CXX
                                            Threads::Threads)
  foreach(row IN LISTS bit_optional_packages)
    string(REPLACE " " ";" row "${row}")
    list(GET row 0 package)
    list(GET row 1 library)
    list(GET row 2 macro)
    if(package IN_LIST bit_used_packages)
      target_link_libraries(${target} INTERFACE ${library})
      target_compile_definitions(${target} INTERFACE ${macro}=1)
    endif()
  endforeach()
endfunction()

# What a target of ours needs that computes with the reference backend's templates itself: the compiled library's
# instances use xtensor-blas's own loops or a CBLAS, and a program that makes others chooses too.
function(bit_link_reference_blas target)
  if(BIT_USE_CBLAS)
    target_link_libraries(${target} PRIVATE BLAS::BLAS)
  else()
    target_compile_definitions(${target} PRIVATE XTENSOR_USE_FLENS_BLAS)
  endif()
endfunction()
