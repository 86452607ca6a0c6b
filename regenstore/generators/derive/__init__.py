"""Generators that derive media from other media: proxies, cuts, frames, contact sheets, joins and mixes."""
