"""Looking after a store and its surroundings: what is damaged or set up wrongly, and putting it right."""
