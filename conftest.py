"""Makes a clone work without installing it: the plugin is loaded by name (see ``[project.entry-points.pytest11]``)."""

pytest_plugins = ["bias_suite.plugin"]
