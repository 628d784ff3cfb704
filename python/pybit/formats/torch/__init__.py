"""What torch writes: zip and legacy files of pickled state dicts, read without executing them."""
