"""Small synthetic sets in the on-disk layout of each real data set, so that the same readers run on both."""
