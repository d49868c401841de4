"""Measures the project and PyTorch in turn."""
