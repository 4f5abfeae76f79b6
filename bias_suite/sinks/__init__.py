"""Where cases go: each sink implements the hooks of `bias_suite.hooks`."""
