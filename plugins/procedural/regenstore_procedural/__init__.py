"""Pictures, videos and sounds drawn from a prompt and a seed, with numpy alone."""
