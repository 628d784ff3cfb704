# SPDX-License-Identifier: Apache-2.0
"""How good a model and its features are: accuracy on labelled images, probes without fine-tuning."""
