# SPDX-License-Identifier: Apache-2.0
"""python -m pybit.train, in the place of python -m bit_pytorch.train and its kin: the same command as `pybit train`."""

import sys

from pybit.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
