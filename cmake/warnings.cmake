# The warnings that our code is free of, with gcc and clang; for our own targets, never for those who use us.
function(bit_enable_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion
                                           $<$<BOOL:${BIT_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()
