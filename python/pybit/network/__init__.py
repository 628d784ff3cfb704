# SPDX-License-Identifier: Apache-2.0
"""Networks of the extension module: how they are made, what holds them, their heads, names and feature levels.

Nothing here knows of `pybit.Model`, which stands on this room.
"""
