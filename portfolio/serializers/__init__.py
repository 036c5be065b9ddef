"""The bodies of those calls: one file for each noun."""
