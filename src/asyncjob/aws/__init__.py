"""The serverless engine: API Gateway takes the request, Lambda runs the job, DynamoDB keeps it."""
