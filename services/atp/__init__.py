"""Promises orders."""
