"""Runs Serinus in a real Envoy, for the tests and the demo."""
