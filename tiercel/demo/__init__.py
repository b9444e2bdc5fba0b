"""The main job on real input: an order history replayed through the running services, and what came of it."""
