"""bias-suite: a pytest gate for chatbots. See `bias_suite.plugin` for where to start reading."""
