"""What one latent responds to, in words: the records behind the page's browser and the terminal."""
