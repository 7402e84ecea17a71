"""Tells SQS one thing after another about a queue, with boto3; the queue's address: ADDRESS QUEUE STEPS.

Steps are JSON: [["create"], ["send", 5, {"DelaySeconds": 900}], ["receive", 2], ["delete"]]. What is received is not deleted.
"""

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
name, address = sys.argv[2], None
for step, *arguments in json.loads(sys.argv[3]):
    if step == "create":
        client.create_queue(QueueName=name)
    address = client.get_queue_url(QueueName=name)["QueueUrl"]
    if step == "send":
        options = arguments[1] if len(arguments) > 1 else {}
        for number in range(arguments[0]):
            client.send_message(QueueUrl=address, MessageBody=str(number), **options)
    elif step == "receive":
        received = 0
        while received < arguments[0]:
            wanted = arguments[0] - received
            received += len(client.receive_message(QueueUrl=address, MaxNumberOfMessages=wanted)["Messages"])
    elif step == "delete":
        client.delete_queue(QueueUrl=address)
print(json.dumps(address))
