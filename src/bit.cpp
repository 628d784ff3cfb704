// Compiled mode: the bodies of every function that is not a template, once.
#include <bit/model/config.ipp>
#include <bit/data/codec/bmp.ipp>
#include <bit/data/codec/exif.ipp>
#include <bit/data/codec/jpeg.ipp>
#include <bit/data/codec/png.ipp>
#include <bit/data/codec/webp.ipp>
#include <bit/data/folder.ipp>
#include <bit/data/image.ipp>
#include <bit/data/loader.ipp>
#include <bit/data/preprocess.ipp>
#include <bit/data/resize.ipp>
