"""How data comes into a directory: found or fetched, verified, unpacked, converted, checked, never half done."""
