"""The services of Tiercel."""
