// Compiled mode: bodies of bit/data, images.
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
