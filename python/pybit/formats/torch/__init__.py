# SPDX-License-Identifier: Apache-2.0
"""What torch writes: zip and legacy files of pickled state dicts, read without executing them."""
