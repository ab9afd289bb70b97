"""The drift engine against its promises and its peers: false alarms, run length, power, delay, exactness, cost."""
