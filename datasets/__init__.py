"""What is computed on: readers, splits, augmentation, batches, phantoms, and how data is fetched."""
