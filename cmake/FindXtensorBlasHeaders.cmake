# The headers of xtensor-blas as bit::xtensor_blas. Its own CMake package insists on a BLAS and a LAPACK library,
# which users of the cpu backend do not need.
find_package(xtensor QUIET)
find_path(XtensorBlasHeaders_INCLUDE_DIR xtensor-blas/xblas.hpp HINTS ${xtensor_INCLUDE_DIRS})
mark_as_advanced(XtensorBlasHeaders_INCLUDE_DIR)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(XtensorBlasHeaders REQUIRED_VARS XtensorBlasHeaders_INCLUDE_DIR)
if(XtensorBlasHeaders_FOUND AND NOT TARGET bit::xtensor_blas)
  add_library(bit::xtensor_blas INTERFACE IMPORTED)
  if(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
    set_target_properties(bit::xtensor_blas PROPERTIES IMPORTED_GLOBAL ON)
  endif()
  set_target_properties(bit::xtensor_blas PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${XtensorBlasHeaders_INCLUDE_DIR}")
endif()
