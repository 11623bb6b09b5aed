"""From job functions to a folder that can be deployed."""
