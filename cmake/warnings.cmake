# The warnings that our code is free of, with gcc and clang; for our own targets, never for those who use us.
# gcc 12 warns about string concatenation that is right (its bug 105651), wherever it happens to inline it.
function(bit_enable_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                         $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
                         $<$<BOOL:${BIT_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()
