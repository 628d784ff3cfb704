# What the library links: xtensor, xtensor-blas, Eigen, nlohmann_json, OpenMP and threads always; zlib and the image
# decoders where they are found (config.hpp says what a build without them refuses).
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
find_package(xtensor REQUIRED)
find_package(xtensor-blas REQUIRED)
find_package(Eigen3 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB)
find_package(JPEG)
find_package(PNG)
find_package(WebP QUIET)

function(bit_link_dependencies target)
  target_link_libraries(${target} INTERFACE xtensor Eigen3::Eigen nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX
                                            Threads::Threads)
  if(ZLIB_FOUND)
    target_link_libraries(${target} INTERFACE ZLIB::ZLIB)
    target_compile_definitions(${target} INTERFACE BIT_HAS_ZLIB=1)
  endif()
endfunction()
