"""What people and machines read: the failure message, the terminal summary, ``summary.json``."""
