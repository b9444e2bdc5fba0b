"""Owns tiers, customers and their assignments."""
