"""How a run runs: settings, devices, ranks, checkpoints, hooks and the modes that join them."""
