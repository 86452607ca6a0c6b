"""Training datasets: samples chosen from tracked media, in the layouts that loaders and trainers read."""
