"""From people's corrections to a reward model: ``reward pull``, ``reward pairs``."""
