"""What runs in Lambda, and nothing else: this folder is packed whole."""
