# The consumer's own part: what a reader would write, once for each of our two targets.
enable_testing()
foreach(mode header_only bit)
  add_executable(program_${mode} ${CMAKE_CURRENT_LIST_DIR}/main.cpp)
  target_link_libraries(program_${mode} PRIVATE bit::${mode})
  add_test(NAME program_${mode} COMMAND program_${mode})
endforeach()
