# SPDX-License-Identifier: Apache-2.0
"""python -m pybit"""

import sys

from pybit.cli import main

sys.exit(main())
