// Compiled mode: bodies of the recipe and of fine-tuning.
#include <bit/train.hpp>
#include <bit/train/fine_tune.ipp>
#include <bit/train/optimizer_choice.ipp>
#include <bit/train/recipe.ipp>
#include <bit/train/time_estimate.ipp>
#include <bit/train/trainable_backends.ipp>
