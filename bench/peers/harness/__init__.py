"""Measures the pipeline: servers and workers of its own, rates, and kills. Knows nothing of its inside."""
