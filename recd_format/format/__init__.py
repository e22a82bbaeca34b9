"""The file's parts as frozen records and their bytes.

Layer: above codec and dedup; no I/O, no Arrow, no torch.
"""
