"""Makes a queue and sends so many messages, with boto3; how many wait: ADDRESS QUEUE COUNT."""

import json
import sys

import boto3

client = boto3.client(
    "sqs",
    endpoint_url=sys.argv[1],
    region_name="eu-central-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
queue = client.create_queue(QueueName=sys.argv[2])["QueueUrl"]
for number in range(int(sys.argv[3])):
    client.send_message(QueueUrl=queue, MessageBody=str(number))
name = "ApproximateNumberOfMessages"
attributes = client.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"]
print(json.dumps({"waiting": attributes[name]}))
