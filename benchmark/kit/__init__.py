"""What measurements share: processes, runs of the command, the machine, results and their pages."""
