# SPDX-License-Identifier: Apache-2.0
"""Downloads checkpoints into a cache: resumable, verified, safe for several processes; nothing but the standard
library.

Layout of the cache (PYBIT_CACHE, else XDG_CACHE_HOME/pybit, else ~/.cache/pybit): each file lies where its address
says, e.g. `storage.googleapis.com/bit_models/BiT-M-R50x1.npz`, with `<file>.json` beside it (address, size, SHA-256,
validator). While a download runs or after it was cut off there are `<file>.part`, `<file>.part.json` and `<file>.lock`.
"""

from pybit.hub.cache import cache_folder, verify
from pybit.hub.download import LABEL_FILES, cached, download
from pybit.hub.reporter import Progress
from pybit.hub.transfer import Transfer, TransferError

__all__ = ["LABEL_FILES", "Progress", "Transfer", "TransferError", "cache_folder", "cached", "download", "verify"]
