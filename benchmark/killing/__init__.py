"""Killing training at chosen moments, and comparing what comes of it."""
