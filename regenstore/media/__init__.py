"""What media are: their types, and encoders that give the same bytes every time."""
