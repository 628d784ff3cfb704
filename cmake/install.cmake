# Headers, library and the CMake package: find_package(bit) gives bit::header_only and bit::bit.
include(CMakePackageConfigHelpers)
set(bit_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bit)

install(DIRECTORY include/bit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT bit_development
        FILES_MATCHING REGEX "\\.(hpp|ipp|inl|cuh)$")
# Headers that were downloaded for this build are nowhere else on the machine.
get_property(bit_downloaded_packages GLOBAL PROPERTY bit_downloaded_packages)
get_property(bit_downloaded_targets GLOBAL PROPERTY bit_downloaded_targets)
get_property(bit_downloaded_folders GLOBAL PROPERTY bit_downloaded_folders)
set(bit_downloaded_include ${CMAKE_INSTALL_INCLUDEDIR}/bit_dependencies)
if(bit_downloaded_folders)
  install(DIRECTORY ${bit_downloaded_folders} DESTINATION ${bit_downloaded_include} COMPONENT bit_development)
endif()
install(TARGETS bit_header_only bit EXPORT bit_targets COMPONENT bit_development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT bit_targets NAMESPACE bit:: DESTINATION ${bit_package_dir} COMPONENT bit_development)

get_target_property(bit_components bit bit_components)
# The package finds what this build was made with, so that the compiled library's symbols resolve.
configure_package_config_file(cmake/bitConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/bitConfig.cmake
                              INSTALL_DESTINATION ${bit_package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/bitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT bit_development)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT bit_development FILES_MATCHING PATTERN "*.cpp"
        PATTERN "*.hpp" PATTERN "build" EXCLUDE)

# For builds without CMake: `pkg-config --cflags --libs bit` links the compiled library, `bit-header-only` the headers.
set(bit_pc_requires "")
set(bit_pc_header_only_flags "")
foreach(row IN LISTS bit_optional_packages)
  string(REPLACE " " ";" row "${row}")
  list(GET row 0 package)
  list(GET row 2 macro)
  if(package IN_LIST bit_used_packages)
    set(module_of_ZLIB zlib)
    set(module_of_JPEG libjpeg)
    set(module_of_PNG libpng)
    set(module_of_WebP libwebp)
    list(APPEND bit_pc_requires ${module_of_${package}})
    string(APPEND bit_pc_header_only_flags " -D${macro}=1")
  endif()
endforeach()
list(JOIN bit_pc_requires " " bit_pc_requires)
file(RELATIVE_PATH bit_pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(bit_pc_includes "")
if(bit_downloaded_folders)
  string(APPEND bit_pc_includes " -I\${prefix}/${bit_downloaded_include}")
endif()
if(NOT Eigen3 IN_LIST bit_downloaded_packages)
  string(APPEND bit_pc_includes " -I$<JOIN:$<TARGET_PROPERTY:Eigen3::Eigen,INTERFACE_INCLUDE_DIRECTORIES>, -I>")
endif()
foreach(module bit bit-header-only)
  configure_file(cmake/${module}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc.in @ONLY)
  file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc INPUT ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc.in)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT bit_development)
endforeach()

install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bitConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/bitConfigVersion.cmake
              cmake/FindXtensorBlasHeaders.cmake cmake/FindWebP.cmake cmake/implementation.cmake
        DESTINATION ${bit_package_dir} COMPONENT bit_development)
