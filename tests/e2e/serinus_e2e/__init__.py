"""Runs Serinus in a real Envoy: processes, configs, policies and clients for the tests and the demo."""
