"""What an example does beyond the contract; a directory for each."""
