// Compiled mode: the bodies of every function that is not a template, once.
#include <bit/eval/knn.ipp>
#include <bit/eval/ridge.ipp>
#include <bit/model/config.ipp>
