"""An experiment as a Launchpad program of many processes, a kind of node a module."""
