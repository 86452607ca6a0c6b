"""Media files: types, probing, decoding, comparison, and encoders whose output is reproducible."""
