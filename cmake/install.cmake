# Headers, library and the CMake package: find_package(bit) gives bit::header_only and bit::bit.
include(CMakePackageConfigHelpers)
set(bit_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bit)

install(DIRECTORY include/bit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT bit_development
        FILES_MATCHING REGEX "\\.(hpp|ipp|inl|cuh)$")
install(TARGETS bit_header_only bit EXPORT bit_targets COMPONENT bit_development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT bit_targets NAMESPACE bit:: DESTINATION ${bit_package_dir} COMPONENT bit_development)

# The package finds what this build was made with, so that the compiled library's symbols resolve.
configure_package_config_file(cmake/bitConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/bitConfig.cmake
                              INSTALL_DESTINATION ${bit_package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/bitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bitConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/bitConfigVersion.cmake
              cmake/FindXtensorBlasHeaders.cmake cmake/FindWebP.cmake cmake/implementation.cmake
        DESTINATION ${bit_package_dir} COMPONENT bit_development)
