"""What a person starts: the command line, a run's config, and the flows over the stages of `tasks`."""
