"""What benchmark/time_to_score.py and benchmark/ablation.py are made of."""
