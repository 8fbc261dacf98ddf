"""An experiment as a Launchpad program of many processes: a module per kind of node."""
