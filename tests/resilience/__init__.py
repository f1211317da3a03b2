"""What is left after processes are killed: real daemons, code servers, workers and tables."""
