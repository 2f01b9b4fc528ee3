"""How the cheat detector of Video Pinball was made, and how often it is right."""
