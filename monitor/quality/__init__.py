"""Data quality of a window: whether its data are broken, which is never a reason to retrain. Pure."""
