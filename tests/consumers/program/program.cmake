# The consumer's own part: what a reader would write, once for each of our targets and once for bodies of its own.
enable_testing()
bit_add_implementation(own_bit COMPONENTS inference ISAS scalar avx2)
foreach(library bit::header_only bit::bit own_bit)
  string(REPLACE "bit::" "" mode ${library})
  add_executable(program_${mode} ${CMAKE_CURRENT_LIST_DIR}/main.cpp)
  target_link_libraries(program_${mode} PRIVATE ${library})
  add_test(NAME program_${mode} COMMAND program_${mode})
endforeach()
