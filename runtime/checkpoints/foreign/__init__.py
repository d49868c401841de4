"""Weights that other programs have trained, read without running anything that their files hold."""
