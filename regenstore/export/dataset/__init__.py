"""Training datasets: samples selected from tracked media, in the layouts that data loaders and trainers read."""
