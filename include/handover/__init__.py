"""Giving it to a successor: bags, their seals and signatures, their way, and what the successor says of them.

Two sides, the same software. We: ``packing``, ``sending``, ``receipts``. The successor (``receiving``): ``fetching``,
``storing``, ``recounting``, its signed receipt. The format is docs/handover.md. Nothing here deletes anything of anybody.
"""
