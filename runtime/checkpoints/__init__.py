"""Where a run's weights lie, and whose directory it is."""
