// Compiled mode: bodies of bit/eval, evaluation.
#include <bit/eval/knn.ipp>
#include <bit/eval/ridge.ipp>
