# SPDX-License-Identifier: Apache-2.0
"""Training: whole runs by BiT-HyperRule, single steps, and what a run writes.

`python -m pybit.train` is the command `pybit train`.
"""
