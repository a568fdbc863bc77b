"""Cases, one file each, and what runs them: command line, figures, report, validation."""
