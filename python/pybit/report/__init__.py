# SPDX-License-Identifier: Apache-2.0
"""What a model tells of itself: descriptions, plans and profiles of its steps, memory, charts."""
