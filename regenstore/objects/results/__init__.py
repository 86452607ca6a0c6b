"""The result database: everything that speaks SQL, and the file that it lies in."""
