# SPDX-License-Identifier: Apache-2.0
"""What every other room stands on: arrays, sizes, progress bars, threads, and names that have changed.

Nothing here knows of networks or images; it imports `pybit.errors` and the extension module only.
"""
