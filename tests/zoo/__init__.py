"""Named architectures in small, and the journey from training to verified C that each of them makes."""
