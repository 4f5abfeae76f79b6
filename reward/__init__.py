"""From people's corrections to a reward model, and from it to better answers: the command ``reward``."""
