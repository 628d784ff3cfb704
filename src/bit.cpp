// Compiled mode: the bodies of every function that is not a template, once.
#include <bit/model/config.ipp>
