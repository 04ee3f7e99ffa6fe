"""What single examples promise beyond the contract: a directory for each."""
