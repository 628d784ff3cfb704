# SPDX-License-Identifier: Apache-2.0
"""Images in, answers out: predictions and features, and the tables that hold them."""
