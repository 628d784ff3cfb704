// Compiled mode: the bodies of every function that is not a template, once.
#include <bit/io/checkpoint.ipp>
#include <bit/io/convert.ipp>
#include <bit/io/file.ipp>
#include <bit/io/head.ipp>
#include <bit/io/names.ipp>
#include <bit/io/npy.ipp>
#include <bit/io/npz.ipp>
#include <bit/io/safetensors.ipp>
#include <bit/io/sniff.ipp>
#include <bit/io/write.ipp>
#include <bit/io/zip.ipp>
#include <bit/model/config.ipp>
