"""The watch against its promises and its peers: concept drift, slow decline, run length, and what asks for retraining."""
