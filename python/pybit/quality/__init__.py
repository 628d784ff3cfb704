# SPDX-License-Identifier: Apache-2.0
"""Whether a collection of images is fit to be trained and measured on: damage, duplicates, classes, labels."""
