"""Checking a program that follows Tiercel's events: it is told histories as a log may tell them, and then asked."""
