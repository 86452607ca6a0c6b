"""Media made from other media: proxies, cuts, frames, contact sheets, joins and mixes."""
