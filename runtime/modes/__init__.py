"""Train, evaluate, predict, benchmark, cross-validate: a run in, a result out."""
