# The bodies of the library as a static library of its caller's project: our own bit::bit, or a target of a program's own
# project, compiled there with its flags, in parts and so in parallel. Found here or by find_package(bit).
#
#   bit_add_implementation(<target> [COMPONENTS <component>...] [ISAS <instruction set>...])
#
# COMPONENTS, all if none is named: `inference` (load a model and run it in float; always in), `images` (files to input),
# `data` (data sets; brings images), `bfloat16`, `train` (brings data and bfloat16), `eval` (probes), `reference` (with
# gradients if `train` is in).
# ISAS: the instruction sets whose microkernels are compiled (scalar, avx2, avx512, avx512_bf16, avx512_bf16_float, neon),
# all of the architecture if none is named; what the CPU has is still chosen at run time, and a CPU that has none of them
# is refused with a sentence.
# A program links either this or bit::bit, not both.
function(bit_add_implementation target)
  set(components inference images data bfloat16 train eval reference)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "COMPONENTS;ISAS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "bit_add_implementation(${target}): expected COMPONENTS and ISAS, got ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_COMPONENTS)
    set(arg_COMPONENTS ${components})
  endif()

  set(parts_of_inference microkernels network io)
  set(parts_of_images images)
  set(parts_of_data data)
  set(parts_of_bfloat16 microkernels_bfloat16 network_bfloat16)
  set(parts_of_train microkernels_training trainable train train_data fine_tune)
  set(parts_of_eval eval)
  set(parts_of_reference reference)
  if("train" IN_LIST arg_COMPONENTS)
    list(APPEND parts_of_reference reference_training)
  endif()
  # Those that hold microkernels.
  set(microkernel_parts microkernels microkernels_bfloat16 microkernels_training)

  list(APPEND arg_COMPONENTS inference)
  if("train" IN_LIST arg_COMPONENTS)
    list(APPEND arg_COMPONENTS data bfloat16)
  endif()
  if("data" IN_LIST arg_COMPONENTS)
    list(APPEND arg_COMPONENTS images)
  endif()
  list(REMOVE_DUPLICATES arg_COMPONENTS)

  get_property(uses_cblas GLOBAL PROPERTY bit_uses_cblas)
  # A generated file per part, of one line: the bodies are named once, in bit/implementation/.
  set(sources "")
  foreach(component IN LISTS arg_COMPONENTS)
    if(NOT component IN_LIST components)
      list(JOIN components ", " known)
      message(FATAL_ERROR "bit_add_implementation(${target}): expected components out of ${known}, got ${component}")
    endif()
    foreach(part IN LISTS parts_of_${component})
      set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}_parts/${part}.cpp)
      file(CONFIGURE OUTPUT ${source} CONTENT "#include <bit/implementation/${part}.hpp>\n" @ONLY)
      list(APPEND sources ${source})
      # clang has no pragma for it: microkernels are optimised where the build asks for no optimisation.
      if(part IN_LIST microkernel_parts AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Debug,MinSizeRel>:-O2>")
      endif()
      # xtensor-blas needs cblas_* unless it is told to use its own loops: slower, but no library and no threads of its
      # own. The macro changes what xtensor-blas is, so it stays in the units that compute with it.
      if(part MATCHES "^reference" AND NOT uses_cblas)
        set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS XTENSOR_USE_FLENS_BLAS)
      endif()
    endforeach()
  endforeach()

  add_library(${target} ${sources})
  set_target_properties(${target} PROPERTIES bit_components "${arg_COMPONENTS}")
  target_link_libraries(${target} PUBLIC bit::header_only)
  target_compile_definitions(${target} PUBLIC BIT_COMPILED)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if("reference" IN_LIST arg_COMPONENTS AND uses_cblas)
    target_link_libraries(${target} PRIVATE BLAS::BLAS)
  endif()
  if(arg_ISAS)
    list(JOIN arg_ISAS "," isas)
    target_compile_definitions(${target} PRIVATE BIT_ISAS="${isas}")
  endif()
  # A project that names no configuration asks for no optimisation, which is never meant for a library of this kind.
  get_property(many_configurations GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  if(NOT CMAKE_BUILD_TYPE AND NOT many_configurations)
    target_compile_options(${target} PRIVATE -O2)
  endif()
endfunction()

# gcc's microkernels optimise themselves (config.hpp); clang's in a header-only Debug build cannot.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND (NOT CMAKE_BUILD_TYPE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
   AND NOT CMAKE_CXX_FLAGS MATCHES "-O[1-3s]")
  message(WARNING "bit: with clang and CMAKE_BUILD_TYPE=\"${CMAKE_BUILD_TYPE}\", programs that link bit::header_only compile "
                  "its microkernels without optimisation and run more than ten times slower; link bit::bit or a target of "
                  "bit_add_implementation, whose microkernels are always optimised, or build with Release.")
endif()
