"""The watch against its promises and its peers: concept drift, slow decline, run length, what asks for retraining."""
