"""Trying rule sets on recorded orders: who would move, when and why, and what would have been promised."""
