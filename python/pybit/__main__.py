"""python -m pybit"""

import sys

from pybit.cli import main

sys.exit(main())
