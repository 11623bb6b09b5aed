"""The serverless engine: what runs in Lambda, and what builds the folder that is deployed."""
