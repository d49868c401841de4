"""What is wanted: loss parts, probabilities from logits, and the counts that scores are made of."""
