"""The customer success pipeline: raw exports in, published marts out."""
