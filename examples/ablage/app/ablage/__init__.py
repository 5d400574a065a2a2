"""Ablage: a small German document archive with OCR."""
