"""Watches orders and proposes tier changes."""
