"""`asyncjob serve`: the contract over HTTP, on a store and on worker processes; without a word of SQL."""
