# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow and Keras write: h5 files and TFHub bundles, under Keras's names."""
