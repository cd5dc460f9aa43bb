"""Notebooks as regression tests: the pytest plugin. Imports nothing heavy; pytest loads it at every start."""
