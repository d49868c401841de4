"""One frozen tree of settings; flags, recipes, saved runs and Python calls are spellings of its fields."""
