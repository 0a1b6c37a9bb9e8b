"""What is done once a year: what was called anonymous is tried again, and keys whose time has come are destroyed."""
