"""The programs: what they take, and how they end."""
