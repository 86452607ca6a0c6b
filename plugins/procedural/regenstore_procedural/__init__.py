"""Pictures, videos and audio drawn from a prompt and a seed, with numpy only."""
