"""Producers: put records, and later their labels, on topics."""
