"""CPU, GPU and NPU behind one interface; nothing else in the tree asks what the device is."""
