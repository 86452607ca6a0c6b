"""What may go when the store is full: choosing, evicting by way of the trash, and taking back."""
